"""The app: keys to actions, actions to the state and the engine, the state to the screen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from functools import partial
from typing import get_args

from textual.app import SystemCommand
from textual.binding import Binding
from textual.command import CommandPalette
from textual.filter import LineFilter
from textual.screen import Screen

from tl_tui.connect.engine_link import EngineLink
from tl_tui.connect.slurm import job_end, write_batch_script
from tl_tui.protocol.checks import Audited
from tl_tui.protocol.commands import MeasureStepCost, ResumeRun
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import AnyEvent, Greeted, ViewersChanged
from tl_tui.protocol.session import OpenFailed, SessionOpened
from tl_tui.protocol.training import ImageSkipped, StepNotApplied, StepTaken
from tl_tui.settings.preferences import (
    DisconnectAction,
    load_preferences,
    load_stack,
    remember,
    save_stack,
)
from tui.app.actions.base import Terminal
from tui.app.actions.mask import MaskActions
from tui.app.actions.results import ResultActions
from tui.app.actions.training import TrainingActions
from tui.app.screen_options import ScreenOptions
from tui.drawing.terminal import terminal_gone
from tui.drawing.textual_theme import LeanColours, textual_theme
from tui.drawing.theme import PALETTES
from tui.drawing.throttle import Throttle
from tui.keys import KEYS
from tui.screens.command_palette import Commands
from tui.screens.find_layer import FindLayer
from tui.screens.help import HelpScreen
from tui.screens.messages import MessagesScreen
from tui.screens.open_failed import OpenFailedDialog
from tui.screens.quit import QuitDialog, parting_words, worth_keeping
from tui.stack.stack import LayerStack
from tui.text.notices import audit_sentence, lost_sentence, proposal_words
from tui.text.viewers import viewers_sentence

HELD = 0.15
"""Seconds between two updates of the inspector while an arrow is held."""
JOB_REPAINT_S = 30.0
"""Seconds between two looks at how long the job still lasts."""
LEFT_ON_REQUEST = os.EX_TEMPFAIL
BAD_INPUT = 2


class WorkbenchApp(MaskActions, TrainingActions, ResultActions):
    """The workbench. It holds the state, and nothing that the state does not say."""

    CSS_PATH = "app.tcss"
    TITLE = "tl-tui"
    ALLOW_SELECT = False
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "f1"  # ctrl+p and : are in KEYS
    BINDINGS = [
        Binding(name, key.action, key.does, show=False, priority=name.startswith("ctrl+"))
        for key in KEYS
        for name in key.keys
    ]

    def __init__(
        self,
        link: EngineLink,
        config: RunConfig,
        *,
        resumes: ResumeRun | None = None,
        terminal: Terminal,
        animation: bool = True,
        theme: str | None = None,
        attached: bool = False,
    ) -> None:
        """
        Args:
            link: The engine; already being started, so that the first frame waits for nothing.
            config: What to open.
            resumes: The run that goes on; None begins one.
            attached: The engine has its session already, which was opened with `config`.
            terminal: What the terminal can.
            animation: Replay backward passes; else their trails stand at once.
            theme: A palette's name; None is the one of last time.
        """
        super().__init__(link, config, unicode=terminal.unicode)
        self.engine_session.resumes, self.engine_session.attached = resumes, attached
        self.engine_session.on_disconnect = load_preferences().on_disconnect
        self.parting = ""
        """What to say when the screen is gone: where the run is that was left."""
        self.terminal = terminal
        self.sub_title = f"{config.arch} · {config.data or 'demo data'}"
        if not animation:
            self.animation_level = "none"
        for palette in PALETTES.values():
            self.register_theme(textual_theme(palette))
        wanted = theme or load_preferences().theme
        self.theme = wanted if wanted in PALETTES and not terminal.monochrome else "terminal"
        self._lean = LeanColours(monochrome=terminal.monochrome)
        self._follow_cursor = Throttle(self, HELD, self._show_cursor)
        self._to_replay: StepTaken | None = None
        self._replayed_slower = 1
        self._lost = ""
        """What a dead engine took with it, until the one that takes its place is there."""

    # --- beginning and end ----------------------------------------------------------------------

    def get_default_screen(self) -> Screen:
        return self.main

    def get_line_filters(self) -> list[LineFilter]:
        return [*super().get_line_filters(), self._lean]

    def on_mount(self) -> None:
        cached = load_stack(self.config)
        if (
            cached is not None
            and self.engine_session.resumes is None
            and not self.engine_session.attached
        ):
            self.run_state.show_cached(cached)
        width, height = self.size
        letters = "Unicode" if self.terminal.unicode else "ASCII"
        colours = "no colours" if self.terminal.monochrome else self.console.color_system or ""
        self.main.loading_list.terminal = f"{width} × {height} · {letters} · {colours}"
        self._dress()
        self._show()
        self.theme_changed_signal.subscribe(self, lambda _: self._theme_changed())
        if not self.is_headless:
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self._leave_on_request)
        self.run_worker(self.engine_session.follow(), exit_on_error=True)

    async def on_unmount(self) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self.link.close(), timeout=3)

    def _dress(self) -> None:
        self.main.set_theme(*self.appearance, self.terminal.monochrome)

    def _theme_changed(self) -> None:
        self._dress()
        if not self.terminal.monochrome:
            remember(theme=self.theme)

    # --- the state to the screen ----------------------------------------------------------------

    def _show(self) -> None:
        self.main.show(self.run_state)
        step, self._to_replay = self._to_replay, None
        if step is not None and (self.engine_session.stepping or self.engine_session.running):
            self.main.stack.flash(step)
        elif step is not None:
            self._replayed_slower = 1
            self.main.stack.replay(step)
            self.main.show_titles(self.run_state)

    def _show_cursor(self) -> None:
        self.main.follow_cursor(self.run_state)

    def on_resize(self) -> None:
        self.repaint(now=False)

    def on_layer_stack_cursor_moved(self) -> None:
        self._follow_cursor.soon()

    def on_layer_stack_toggled(self, event: LayerStack.Toggled) -> None:
        self.toggle(event.target)

    def event_received(self, event: AnyEvent | None) -> None:
        for sentence in self.run_state.notices:
            self.messages.enqueue(sentence)
        self.run_state.notices.clear()
        if self.run_state.phase == "dead":
            self.messages.clear_all()  # the caption says why
        match event:
            case Greeted(job=job) if job and not self.link.host:
                self.run_worker(self._find_job_end(job), group="job", exclusive=True)
            case StepTaken(rows=rows) if rows:
                self._to_replay = event
                if not self.engine_session.running:
                    self.messages.clear()
            case SessionOpened():
                # At once: the cursor may stand in another stack than the one that was cached.
                self.repaint()
                save_stack(self.engine_session.config, event)
                if (
                    not self.engine_session.attached
                ):  # else its price was asked for when it was opened
                    self.engine_session.send(MeasureStepCost)
                if self._lost:
                    self.messages.pin(self._lost)
                    self._lost = ""
            case ViewersChanged():
                self.messages.enqueue(viewers_sentence(self.run_state.watched_before, event))
            case StepNotApplied(sentence=sentence):
                self.messages.pin(f"{sentence}{proposal_words(self.run_state.proposed())}")
            case ImageSkipped(lost_class=sentence) if sentence:
                self.messages.pin(sentence)
            case OpenFailed():
                self.push_screen(
                    OpenFailedDialog(event, self.appearance), self._answer_open_question
                )
            case Audited():
                self.messages.show_now(audit_sentence(event))
        super().event_received(event)

    # --- answering keys -------------------------------------------------------------------------

    def action_replay(self) -> None:
        stack, step = self.main.stack, self.run_state.measured
        if step is None:
            self.messages.show_now("There is no measured step to show yet; t takes one.")
            return
        if self.engine_session.running:
            self.messages.show_now(
                "It is training; r pauses it, then . shows the last step slowly."
            )
            return
        again = stack.replaying and self._replayed_slower == 1
        self._replayed_slower = 4 if again else 1
        stack.replay(step, slower=self._replayed_slower)
        self.main.show_titles(self.run_state)

    def action_restart(self) -> None:
        if self.run_state.phase != "dead":
            self.messages.show_now("The engine is running; R is for when it is gone.")
            return
        self._lost = lost_sentence(self.run_state)
        self.engine_session.keep_choices()
        self.run_state.restarted()
        self.run_worker(self.engine_session.follow(restart=True), exit_on_error=True)
        self.repaint()

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(Commands(id="--command-palette"))

    def action_find(self) -> None:
        if self.need_stack():
            self.push_screen(FindLayer(self.main.stack.find))

    # --- screens --------------------------------------------------------------------------------

    def action_help(self) -> None:
        self.push_screen(HelpScreen(self.appearance))

    def action_understood(self) -> None:
        self.messages.dismiss()

    def action_messages(self) -> None:
        self.push_screen(MessagesScreen(self.messages.history, self.appearance))

    def action_leave(self) -> None:
        state = self.run_state
        if state.phase == "asking":
            self.exit(return_code=BAD_INPUT)
        elif state.watched.clients > 1:
            self._part("stays")
            self.exit()
        elif isinstance(self.screen, QuitDialog) or not worth_keeping(state):
            self.exit()
        else:
            last = load_preferences().quit_answer
            self.push_screen(QuitDialog(state, self.appearance, last), self._leave_with)

    def _leave_with(self, answer: str | None) -> None:
        if answer is None or answer == "":
            return
        if answer == "batch":
            self.parting = self._write_batch_script()
            self.exit()
            return
        remember(quit_answer=answer)
        for does in get_args(DisconnectAction):
            if answer == does:
                self._choose_on_disconnect(does)
                self._part(does)
        self.exit()

    def _leave_on_request(self) -> None:
        """The terminal was closed, or the line dropped: what was trained stays with its engine."""
        if worth_keeping(self.run_state) or self.run_state.watched.clients > 1:
            self._part(self.engine_session.on_disconnect)
        self.exit(return_code=LEFT_ON_REQUEST)

    def _part(self, does: str) -> None:
        """Leave the engine to itself."""
        self.link.detached = True
        self.parting = parting_words(self.run_state, does, self.link.host)

    def _choose_on_disconnect(self, does: DisconnectAction) -> None:
        remember(on_disconnect=does)
        self.engine_session.set_disconnect_action(does)

    def _choose_on_disconnect_in_passing(self, does: DisconnectAction) -> None:
        self._choose_on_disconnect(does)
        self.messages.show_now(f"When the line drops the run will {does}; remembered.")

    def action_batch_script(self) -> None:
        session = self.run_state.session
        if self.link.host:
            self.messages.show_now(f"The run is on {self.link.host}; write the script there.")
        elif session is None or not self.run_state.opened:
            self.messages.show_now("There is no run yet that a job could go on with.")
        else:
            self.messages.show_now(self._write_batch_script())

    def _write_batch_script(self) -> str:
        """Write the script into the working directory; what came of it, in a sentence."""
        session = self.run_state.session
        assert session is not None
        try:
            return write_batch_script(session.run_dir, os.environ)
        except OSError as error:
            return f"The sbatch script cannot be written here ({error.strerror or error})."

    async def _find_job_end(self, job: str) -> None:
        """Ask SLURM when the job ends, if its variables do not say; show it as it nears."""
        if self.run_state.job_ends is None:
            self.run_state.job_ends = await asyncio.to_thread(job_end, job)
        while self.run_state.job_ends is not None:
            self.repaint()
            await asyncio.sleep(JOB_REPAINT_S)

    def action_take_over(self) -> None:
        if self.run_state.watched.in_control:
            self.messages.show_now("This screen steers.")
        elif self.need_engine():
            self.engine_session.take_over()

    def _answer_open_question(self, answer: str | None) -> None:
        if answer is None or answer == "leave":
            self.exit(return_code=BAD_INPUT)
        else:
            self.engine_session.open_with(answer)
            self.repaint()

    def get_system_commands(self, screen: Screen) -> Iterable[SystemCommand]:
        for key in KEYS:
            if key.title:
                run: Callable = partial(self.run_action, key.action)
                does = f"{key.shown}: {key.does}" if key.keys else key.does
                yield SystemCommand(key.title, does, run)
        yield SystemCommand("MessagesScreen", "everything said in passing", self.action_messages)
        for does in get_args(DisconnectAction):
            yield SystemCommand(
                f"When the line drops: {does}",
                "remembered; now: "
                + ("yes" if self.engine_session.on_disconnect == does else "no"),
                partial(self._choose_on_disconnect_in_passing, does),
            )
        for name, palette in PALETTES.items():
            yield SystemCommand(
                f"Theme: {name}", palette.description, partial(setattr, self, "theme", name)
            )


def run_app(
    link: EngineLink,
    config: RunConfig,
    screen: ScreenOptions,
    *,
    resumes: ResumeRun | None = None,
    attached: bool = False,
) -> int:
    """Run the workbench until the user leaves.

    Args:
        link: The connection to the engine.
        config: The configuration with which the session is opened, or was.
        screen: How to draw the screen.
        resumes: The run to resume; None starts a new run.
        attached: Whether the engine has opened the session already.

    Returns:
        The exit code: 0 left; 1 the app failed; 2 nothing could be opened; 75 ended on request.
    """
    app = WorkbenchApp(
        link,
        config,
        resumes=resumes,
        terminal=screen.terminal,
        animation=screen.animation,
        theme=screen.theme,
        attached=attached,
    )
    app.run()
    if terminal_gone():
        for number in (1, 2):  # the interpreter flushes both once more on its way out
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    elif app.parting:
        print(app.parting, flush=True)
    if app.return_code == BAD_INPUT and app.run_state.question:
        import sys

        print(app.run_state.question.sentence, file=sys.stderr)
    return app.return_code or 0
