"""How it trains: steps, starting over, and what is proved of them."""

from __future__ import annotations

from tui.workbench import Workbench


class TrainingActions(Workbench):
    """Actions that train."""

    def action_step(self) -> None:
        if self.run_state.phase == "dead":
            self.need_engine()
        elif not self.dialogue.step():
            self.notices.answer("The step is noted: it runs as soon as the engine is ready.")
        self.repaint(now=False)

    def action_start_over(self) -> None:
        if self.need_engine():
            self.dialogue.start_over()
            self.notices.answer(
                "Started over: weights, optimizer and batches are as at the start. u takes it back "
                "until the next step."
            )

    def action_audit(self) -> None:
        if self.need_engine():
            self.dialogue.audit()
            self.notices.answer("Auditing: a step on a copy, every frozen tensor compared.")
