"""The app: binds keys to actions, and shows the state on the screen."""

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
from tl_tui.protocol.commands import MeasureStepCost, ResumeRun
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.dataset import DatasetSummary
from tl_tui.protocol.events import AnyEvent, Greeted
from tl_tui.protocol.session import OpenFailed, SessionOpened
from tl_tui.protocol.training import StepTaken
from tl_tui.settings.preferences import (
    DisconnectAction,
    load_preferences,
    load_stack,
    remember,
    save_stack,
)
from tui.app.actions.base import Terminal
from tui.app.actions.leave import BAD_INPUT, LeaveActions
from tui.app.actions.mask import MaskActions
from tui.app.actions.results import ResultActions
from tui.app.actions.training import TrainingActions
from tui.app.screen_options import ScreenOptions
from tui.drawing.terminal import terminal_gone
from tui.drawing.textual_theme import AsciiOnly, LeanColours, textual_theme
from tui.drawing.theme import PALETTES
from tui.drawing.throttle import Throttle
from tui.keys import KEYS
from tui.screens.command_palette import Commands
from tui.screens.dataset import DatasetPage
from tui.screens.find_layer import FindLayer
from tui.screens.help import HelpScreen
from tui.screens.messages import MessagesScreen
from tui.screens.open_failed import OpenFailedDialog
from tui.screens.quit import QuitDialog
from tui.stack.stack import LayerStack
from tui.state.notice import activity, progress
from tui.text.dataset import left_out_notice
from tui.text.notices import event_notices, lost_sentence

HELD = 0.15
"""Seconds between two updates of the inspector while an arrow is held."""


class WorkbenchApp(MaskActions, TrainingActions, ResultActions, LeaveActions):
    """The workbench: binds the keys, passes events on, and shows the state."""

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
            link: The connection to the engine, which is already starting.
            config: The configuration to open a session with.
            resumes: The run to resume; None starts a new run.
            attached: Whether the engine has opened a session with `config` already.
            terminal: What the terminal can show.
            animation: Replay backward passes; otherwise show their trails at once.
            theme: The name of a palette; None is the last one used.
        """
        super().__init__(link, config, unicode=terminal.unicode)
        self.engine_session.resumes, self.engine_session.attached = resumes, attached
        self.engine_session.on_disconnect = load_preferences().on_disconnect
        self.terminal = terminal
        self.sub_title = f"{config.arch} · {config.data or 'demo data'}"
        if not animation:
            self.animation_level = "none"
        for palette in PALETTES.values():
            self.register_theme(textual_theme(palette))
        wanted = theme or load_preferences().theme
        self.theme = wanted if wanted in PALETTES and not terminal.monochrome else "terminal"
        self.own_filters: list[LineFilter] = [LeanColours(monochrome=terminal.monochrome)]
        if not terminal.unicode:
            self.own_filters.append(AsciiOnly())
        self._follow_cursor = Throttle(self, HELD, self._show_cursor)
        self._to_replay: StepTaken | None = None
        self._replayed_slower = 1
        self._lost = ""
        """A sentence about what a dead engine has lost, to show when its replacement is ready."""

    # --- start and end ----------------------------------------------------------------------

    def get_default_screen(self) -> Screen:
        return self.main

    def get_line_filters(self) -> list[LineFilter]:
        return [*super().get_line_filters(), *self.own_filters]

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
        self._set_theme()
        self._show()
        self.theme_changed_signal.subscribe(self, lambda _: self._theme_changed())
        if not self.is_headless:
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self._leave_on_request)
            self.follow_stop_signals()
        self.run_worker(self.engine_session.follow(), exit_on_error=True)

    async def on_unmount(self) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self.link.close(), timeout=3)

    def _set_theme(self) -> None:
        self.main.set_theme(*self.appearance, self.terminal.monochrome)

    def _theme_changed(self) -> None:
        self._set_theme()
        if not self.terminal.monochrome:
            remember(theme=self.theme)

    # --- state to screen ----------------------------------------------------------------

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
        self.messages.drop_untrue()
        notices = event_notices(self.run_state, event, kept=self.engine_session.start_beside)
        for notice in notices:
            self.messages.notify(notice)
        self.run_state.notices.clear()
        for sentence in (self.run_state.cut, self.run_state.death):
            self.messages.record(sentence)
        if self.run_state.phase == "dead":
            self.messages.clear_all()  # the caption says why
        match event:
            case Greeted(job=job) if job and not self.link.host:
                self.run_worker(self._show_job_end(job), group="job", exclusive=True)
            case StepTaken(rows=rows) if rows:
                self._to_replay = event
                if not self.engine_session.running:
                    self.messages.clear()
            case SessionOpened():
                # At once, because the stack may differ from the cached one under the cursor.
                self.repaint()
                self.messages.record(event.device_warning)
                save_stack(self.engine_session.config, event)
                if not self.engine_session.attached:  # else the first screen has requested it
                    self.engine_session.send(MeasureStepCost)
                    self._report_dataset(event.dataset)
                if self._lost:
                    self.messages.pin(self._lost)
                    self._lost = ""
            case OpenFailed():
                self.push_screen(
                    OpenFailedDialog(event, self.appearance), self._answer_open_question
                )
        for screen in self.screen_stack:
            if isinstance(screen, QuitDialog):
                screen.show(self.run_state)
        super().event_received(event)
        if notices:
            self.repaint()  # in the same frame, so that the rest of the screen does not contradict

    def _report_dataset(self, dataset: DatasetSummary) -> None:
        """Show what was left out, and what is probably wrong until the user has read it."""
        if dataset.left_out:
            self.messages.enqueue(left_out_notice(dataset.left_out))
        for finding in dataset.findings:
            self.messages.pin(finding)

    # --- keys -------------------------------------------------------------------------

    def action_replay(self) -> None:
        stack, step = self.main.stack, self.run_state.measured
        if step is None:
            if self.run_state.idle:
                sentence = "There is no measured step to show yet; press t to take one."
            else:
                sentence = "There is no measured step to show yet."
            self.messages.show_now(sentence, progress)
            return
        if self.engine_session.running:
            self.messages.show_now(
                "Training is running; press r to pause it, then . to replay the last step.",
                activity,
            )
            return
        again = stack.replaying and self._replayed_slower == 1
        self._replayed_slower = 4 if again else 1
        stack.replay(step, slower=self._replayed_slower)
        self.main.show_titles(self.run_state)

    def action_restart(self) -> None:
        if self.run_state.phase != "dead":
            self.messages.show_now(
                "The engine is running; R restarts it only after it has stopped.", activity
            )
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

    def action_dataset(self) -> None:
        if self.run_state.session is None or self.run_state.provisional:
            self.messages.show_now("The images are not listed yet.")
        else:
            self.push_screen(DatasetPage(self.run_state.session, self.appearance))

    def action_messages(self) -> None:
        self.push_screen(MessagesScreen(self.messages.history, self.appearance))

    def action_take_over(self) -> None:
        if self.run_state.watched.in_control:
            self.messages.show_now("This screen is already in control.", activity)
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
        for does in get_args(DisconnectAction):
            yield SystemCommand(
                f"When the connection drops: {does}",
                "remembered; now: "
                + ("yes" if self.engine_session.on_disconnect == does else "no"),
                partial(self.choose_disconnect_action, does),
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
        The exit code: 0 left; 1 the app failed; 2 no session could be opened; 75 ended by a signal.
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
        for number in (1, 2):  # the interpreter flushes both when it exits
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    elif app.parting:
        print(app.parting, flush=True)
    if app.return_code == BAD_INPUT and app.run_state.question:
        import sys

        print(app.run_state.question.sentence, file=sys.stderr)
    return app.return_code or 0
