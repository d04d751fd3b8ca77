"""Whole screens over the main one: shown what comes, told what is said, and nothing drawn twice."""

from __future__ import annotations

from typing import ClassVar

from textual._styles_cache import StylesCache
from textual.await_complete import AwaitComplete

from tl_tui.connect.engine_link import EngineLink
from tl_tui.protocol.commands import Command
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import AnyEvent, Refused
from tui.app.actions.base import FRAME, ActionBase
from tui.app.message_queue import MessageQueue
from tui.drawing.throttle import Throttle
from tui.screens.full_screen import FullScreen


class Overlays(ActionBase):
    """The screen that covers the main one takes its place for the state and for notices."""

    EVENTS: ClassVar[tuple[type, ...]] = (Refused,)

    def __init__(self, link: EngineLink, config: RunConfig, *, unicode: bool) -> None:
        super().__init__(link, config, unicode=unicode)
        self.messages = MessageQueue(self, self._say)
        self._paint_covering = Throttle(self, FRAME, self._show_covering)
        self.asked: dict[int, type[Command]] = {}
        """What a screen asked the engine for and was not answered yet, by the command's id."""

    @property
    def covering(self) -> FullScreen | None:
        """The screen that covers the main one, if one does."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, FullScreen)), None)

    def cover(self, screen: FullScreen) -> None:
        """Show a whole screen; what it covered is drawn again when it is closed."""
        # Else Textual would first send a screenful of blanks, twice.
        screen.drawn.enter_context(self.batch_update())
        self.push_screen(screen, lambda _: self.call_next(self._uncovered))

    def pop_screen(self) -> AwaitComplete:
        """Close the screen on top, and let go of what it drew."""
        closed = super().pop_screen()
        # Its keys are widgets' caches: of 1,024 closed ones Textual would keep every line.
        StylesCache.get_inner_outer.cache_clear()
        return closed

    def ask(self, command: type[Command], **fields: object) -> None:
        """Ask the engine for what the screen that is open waits for, if there is an engine."""
        if self.run_state.phase == "ready":
            self.asked[self.engine_session.send(command, **fields)] = command

    def answered(self, *commands: type[Command]) -> None:
        """What was asked for with these has come."""
        self.asked = {id: asked for id, asked in self.asked.items() if asked not in commands}

    def _uncovered(self) -> None:
        self.messages.refresh()
        self.repaint()

    def _say(self, sentence: str) -> None:
        if covering := self.covering:
            covering.say(sentence)
        else:
            self.main.say(sentence)

    def repaint(self, *, now: bool = True) -> None:
        # What is covered is not drawn: every cell it changed would be sent again, unchanged.
        if self.covering is None:
            super().repaint(now=now)
        elif now:
            self._paint_covering.now()
        else:
            self._paint_covering.soon()

    def repaint_mask(self) -> None:
        if self.covering is None:
            super().repaint_mask()
        else:
            self._paint_covering.now()

    def _show_covering(self) -> None:
        if covering := self.covering:
            if (covering.palette, covering.glyphs) != self.appearance:
                covering.set_theme(*self.appearance)
            covering.show(self.run_state)

    def handle(self, event: AnyEvent) -> None:
        """React to an event of `EVENTS`."""
        if isinstance(event, Refused) and event.id in self.asked:
            del self.asked[event.id]
            if covering := self.covering:
                covering.refused()
