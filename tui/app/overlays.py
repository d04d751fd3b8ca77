"""Full screens over the main one: pushing them, painting them and sending their requests."""

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
    """Sends the state and the messages to the full screen that covers the main one, if any."""

    EVENTS: ClassVar[tuple[type, ...]] = (Refused,)

    def __init__(self, link: EngineLink, config: RunConfig, *, unicode: bool) -> None:
        super().__init__(link, config, unicode=unicode)
        self.messages = MessageQueue(self, self._show_message, self.run_state)
        self._paint_overlay = Throttle(self, FRAME, self._show_overlay)
        self.requests: dict[int, type[Command]] = {}
        """Commands that an overlay sent and the engine has not answered, by their id."""

    @property
    def overlay(self) -> FullScreen | None:
        """The topmost full screen over the main one, if there is one."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, FullScreen)), None)

    def open_overlay(self, screen: FullScreen) -> None:
        """Push a full screen; the main one is drawn again when it closes."""
        # Without the batch, Textual would first send a screenful of blanks, twice.
        screen.first_frame.enter_context(self.batch_update())
        self.push_screen(screen, lambda _: self.call_next(self._overlay_closed))

    def pop_screen(self) -> AwaitComplete:
        """Close the topmost screen, and free the lines that Textual has cached for it."""
        closed = super().pop_screen()
        # The keys of this cache hold widgets' style caches: Textual would keep every line of up
        # to 1,024 closed widgets.
        StylesCache.get_inner_outer.cache_clear()
        return closed

    def request(self, command: type[Command], **fields: object) -> None:
        """Send a command for the open overlay, if the engine is ready."""
        if self.run_state.phase == "ready":
            self.requests[self.engine_session.send(command, **fields)] = command

    def request_answered(self, *commands: type[Command]) -> None:
        """Forget the requests that were made with these commands."""
        self.requests = {
            id: command for id, command in self.requests.items() if command not in commands
        }

    def _overlay_closed(self) -> None:
        self.messages.refresh()
        self.repaint()

    def _show_message(self, message: str) -> None:
        if overlay := self.overlay:
            overlay.say(message)
        else:
            self.main.say(message)

    def repaint(self, *, now: bool = True) -> None:
        # The main screen is not drawn while it is covered: Textual would send every cell that
        # changed in it, although the overlay's cells did not change.
        if self.overlay is None:
            super().repaint(now=now)
            return
        self.messages.drop_untrue()
        if now:
            self._paint_overlay.now()
        else:
            self._paint_overlay.soon()

    def repaint_mask(self) -> None:
        self.messages.drop_untrue()
        if self.overlay is None:
            super().repaint_mask()
        else:
            self._paint_overlay.now()

    def _show_overlay(self) -> None:
        if overlay := self.overlay:
            if (overlay.palette, overlay.glyphs) != self.appearance:
                overlay.set_theme(*self.appearance)
            overlay.show(self.run_state)

    def handle(self, event: AnyEvent) -> None:
        if isinstance(event, Refused) and event.id in self.requests:
            del self.requests[event.id]
            if overlay := self.overlay:
                overlay.refused()
