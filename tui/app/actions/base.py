"""The base class of the app's actions.

Each group of actions is a subclass: `mask.MaskActions` (which layers train),
`training.TrainingActions` (steps, runs and learning rates) and `results.ResultActions` (full
screens and files). `app.WorkbenchApp` combines them and binds the keys.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from tl_tui.connect.engine_link import EngineLink
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import AnyEvent
from tui.app.engine_session import EngineSession
from tui.app.message_queue import MessageQueue
from tui.app.suspension import SuspendableApp
from tui.drawing.theme import ASCII, PALETTES, UNICODE, Glyphs, Palette
from tui.drawing.throttle import Throttle
from tui.screens.main import MainScreen
from tui.state.cursor import Target
from tui.state.notice import activity
from tui.state.run_state import RunState

FRAME = 1 / 30
"""The least time between two repaints for events, in seconds."""


class Terminal(Protocol):
    """The capabilities of the terminal that the app uses."""

    @property
    def monochrome(self) -> bool: ...

    @property
    def unicode(self) -> bool: ...


class ActionBase(SuspendableApp[None]):
    """Base class of the actions: the state, the engine, the screen and the messages.

    Groups of actions use these members:

    - `run_state`: everything known about the run. It is updated before events are handled.
    - `engine_session.send`: sends a command to the engine.
    - `messages.show_now`, `messages.enqueue`: show a message at once, or after those waiting,
      for as long as what it is about does not change.
    - `appearance`: colours and characters, for screens that are pushed.
    - `need_engine`, `need_stack`: report what is missing.
    - `repaint`: shows a change in the same frame.

    A group that waits for events lists their types in `EVENTS` and handles them in a method
    `handle(event)`. Several groups may list the same type.
    """

    EVENTS: ClassVar[tuple[type, ...]] = ()
    """The event types that a group of actions handles, in its own method `handle(event)`."""

    terminal: Terminal

    def __init__(self, link: EngineLink, config: RunConfig, *, unicode: bool) -> None:
        """
        Args:
            link: The engine, which is already starting, so that the first frame does not wait.
            config: The session to open.
            unicode: Whether the terminal can show characters other than ASCII.
        """
        super().__init__()
        self.link, self.config = link, config
        self.run_state = RunState()
        self.engine_session = EngineSession(link, config, self.run_state, self.event_received)
        self.glyphs: Glyphs = UNICODE if unicode else ASCII
        self.main = MainScreen()
        self.messages = MessageQueue(self, self.main.say, self.run_state)
        self._paint = Throttle(self, FRAME, self._show)

    @property
    def appearance(self) -> tuple[Palette, Glyphs]:
        """The palette and the glyphs (Unicode or ASCII) for a new screen."""
        return PALETTES.get(self.theme, PALETTES["terminal"]), self.glyphs

    def need_stack(self) -> Target | None:
        """Return the row or module under the cursor; show a message if there is no stack yet."""
        target = self.main.target(self.run_state)
        if target is None:
            self.messages.show_now("The model is still loading.")
        return target

    def need_engine(self) -> bool:
        """Return whether the engine is ready; if it is not, show a message that says why."""
        if self.run_state.phase == "ready":
            return True
        self.messages.show_now(
            "The engine has stopped; press R to restart it."
            if self.run_state.phase == "dead"
            else self.run_state.cut or "The engine is not ready yet.",
            activity,
        )
        return False

    def repaint(self, *, now: bool = True) -> None:
        """Draw the state.

        Args:
            now: Whether to draw at once, as after a key press; otherwise at most once per frame.
        """
        self.messages.drop_untrue()
        if now:
            self._paint.now()
        else:
            self._paint.soon()

    def repaint_mask(self) -> None:
        """Draw a change of the wanted mask at once; nothing else may have changed."""
        self.main.show_mask(self.run_state)

    def event_received(self, event: AnyEvent | None) -> None:
        """Pass an event to each group of actions that lists its type in `EVENTS`.

        Args:
            event: The event, from which `run_state` was already updated; None when the engine has
                stopped.
        """
        for group in type(self).__mro__:
            if isinstance(event, group.__dict__.get("EVENTS", ())):
                group.__dict__["handle"](self, event)
        self.repaint(now=False)

    def _show(self) -> None:
        self.main.show(self.run_state)
