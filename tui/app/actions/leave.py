"""Leaving the app: what the run does without a screen, and SLURM jobs that continue it."""

from __future__ import annotations

import asyncio
import os
from typing import get_args

from tl_tui.connect.slurm import job_end, write_batch_script
from tl_tui.settings.preferences import DisconnectAction, load_preferences, remember
from tui.app.actions.base import ActionBase
from tui.screens.quit import QuitDialog, parting_words, worth_keeping

BAD_INPUT = 2
LEFT_ON_REQUEST = os.EX_TEMPFAIL
JOB_REPAINT_S = 30.0
"""Seconds between two repaints of the time that the job has left."""


class LeaveActions(ActionBase):
    """Actions that leave the app or prepare for it."""

    parting = ""
    """The text to print after the screen has closed: where the run continues."""

    def action_leave(self) -> None:
        state = self.run_state
        if state.phase == "asking":
            self.exit(return_code=BAD_INPUT)
        elif state.watched.clients > 1:
            self._leave_engine_running("stays")
            self.exit()
        elif isinstance(self.screen, QuitDialog) or not worth_keeping(state):
            self.exit()
        else:
            last = load_preferences().quit_answer
            self.push_screen(QuitDialog(state, self.appearance, last), self._leave_with)

    def _leave_with(self, answer: str | None) -> None:
        """Leave with the answer of the quit dialog; an empty one stays."""
        if not answer:
            return
        if answer == "batch":
            self.parting = self._write_batch_script()
            self.exit()
            return
        remember(quit_answer=answer)
        for action in get_args(DisconnectAction):
            if answer == action:
                self._set_disconnect_action(action)
                self._leave_engine_running(action)
        self.exit()

    def cannot_suspend(self) -> None:
        self.messages.show_now("No shell started this program, so none could continue it with fg.")

    def _leave_on_request(self) -> None:
        """Leave because the terminal closed or the connection dropped; keep what was trained."""
        if worth_keeping(self.run_state) or self.run_state.watched.clients > 1:
            self._leave_engine_running(self.engine_session.on_disconnect)
        self.exit(return_code=LEFT_ON_REQUEST)

    def _leave_engine_running(self, action: str) -> None:
        """Keep the engine running after this screen has closed."""
        self.link.detached = True
        self.parting = parting_words(self.run_state, action, self.link.host)

    def _set_disconnect_action(self, action: DisconnectAction) -> None:
        remember(on_disconnect=action)
        self.engine_session.set_disconnect_action(action)

    def choose_disconnect_action(self, action: DisconnectAction) -> None:
        """Choose, in the command palette, what the run does when the connection drops."""
        self._set_disconnect_action(action)
        self.messages.show_now(
            f"When the connection drops, the run will {action}. This choice is saved."
        )

    # --- SLURM ----------------------------------------------------------------------------------

    def action_batch_script(self) -> None:
        session = self.run_state.session
        if self.link.host:
            self.messages.show_now(f"The run is on {self.link.host}; write the script there.")
        elif session is None or not self.run_state.opened:
            self.messages.show_now(
                "There is no run yet; take a step first, then a SLURM job can resume it."
            )
        else:
            self.messages.show_now(self._write_batch_script())

    def _write_batch_script(self) -> str:
        """Write the script into the working directory; return a sentence about the result."""
        session = self.run_state.session
        assert session is not None
        try:
            return write_batch_script(session.run_dir, os.environ)
        except OSError as error:
            return f"The sbatch script cannot be written here ({error.strerror or error})."

    async def _show_job_end(self, job: str) -> None:
        """Find out when the job ends, from SLURM if its variables do not say, and show it."""
        if self.run_state.job_ends is None:
            self.run_state.job_ends = await asyncio.to_thread(job_end, job)
        while self.run_state.job_ends is not None:
            self.repaint()
            await asyncio.sleep(JOB_REPAINT_S)
