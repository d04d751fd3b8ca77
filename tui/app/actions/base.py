"""What every group of the app's actions stands on: state, engine, screen, and words to the user.

The actions themselves are grouped by what they are about, each group a class on this one:
`choice_actions` (what trains), `training_actions` (how it trains), `finding_actions` (what comes
of it). `app.WorkbenchApp` puts them together and binds the keys.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from textual.app import App

from tl_tui.connect.engine_link import EngineLink
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import AnyEvent
from tui.app.engine_session import EngineSession
from tui.app.message_queue import MessageQueue
from tui.drawing.theme import ASCII, PALETTES, UNICODE, Glyphs, Palette
from tui.drawing.throttle import Throttle
from tui.screens.main import MainScreen
from tui.state.cursor import Target
from tui.state.run_state import RunState

FRAME = 1 / 30
"""Seconds between two repaints for events, at least."""


class Terminal(Protocol):
    """What the app has to know of the terminal."""

    @property
    def monochrome(self) -> bool: ...

    @property
    def unicode(self) -> bool: ...


class ActionBase(App[None]):
    """Base class of the actions: the state, the engine, the screen and the messages.

    Groups of actions use these members:

    - `run_state`: everything known about the run. It is updated before `event_received` is called.
    - `engine_session.send`: sends a command to the engine.
    - `messages.show_now`, `messages.enqueue`: show a message at once, or after those waiting.
    - `appearance`: colours and characters, for screens that are pushed.
    - `need_engine`, `need_stack`: report what is missing.
    - `repaint`: shows a change in the same frame.
    """

    EVENTS: ClassVar[tuple[type, ...]] = ()
    """The events that a group of actions handles, in a method `handle(event)` of its own."""

    terminal: Terminal

    def __init__(self, link: EngineLink, config: RunConfig, *, unicode: bool) -> None:
        """
        Args:
            link: The engine; already being started, so that the first frame waits for nothing.
            config: What to open.
            unicode: The terminal has more characters than ASCII.
        """
        super().__init__()
        self.link, self.config = link, config
        self.run_state = RunState()
        self.engine_session = EngineSession(link, config, self.run_state, self.event_received)
        self.glyphs: Glyphs = UNICODE if unicode else ASCII
        self.main = MainScreen()
        self.messages = MessageQueue(self, self.main.say)
        self._paint = Throttle(self, FRAME, self._show)

    @property
    def appearance(self) -> tuple[Palette, Glyphs]:
        """Colours and characters, for screens that are pushed."""
        return PALETTES.get(self.theme, PALETTES["terminal"]), self.glyphs

    def need_stack(self) -> Target | None:
        """The cursor's target; without a stack yet, says so."""
        target = self.main.target(self.run_state)
        if target is None:
            self.messages.show_now("There is no model yet; it is still being loaded.")
        return target

    def need_engine(self) -> bool:
        """Whether the engine can be asked for something now; if not, says why."""
        if self.run_state.phase == "ready":
            return True
        gone = self.run_state.phase == "dead"
        self.messages.show_now(
            "The engine is gone; R starts it again."
            if gone
            else self.run_state.cut or "The engine is not ready yet."
        )
        return False

    def repaint(self, *, now: bool = True) -> None:
        """Show the state: at once for what a key changed, else at the pace of the screen."""
        if now:
            self._paint.now()
        else:
            self._paint.soon()

    def repaint_mask(self) -> None:
        """Show at once a change of the wanted mask alone."""
        self.main.show_mask(self.run_state)

    def event_received(self, event: AnyEvent | None) -> None:
        """React to an event that `run_state` already has; None means that the engine is gone.

        An event goes to the groups of actions that name its type in `EVENTS`.
        """
        for group in type(self).__mro__:
            if isinstance(event, group.__dict__.get("EVENTS", ())):
                group.__dict__["handle"](self, event)
        self.repaint(now=False)

    def _show(self) -> None:
        self.main.show(self.run_state)
