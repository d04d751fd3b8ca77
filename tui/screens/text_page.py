"""The base class of pages of text that scroll."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult

from tui.drawing.lines import Line
from tui.drawing.theme import Glyphs, Palette
from tui.screens.dialog import Dialog
from tui.state.run_state import RunState
from tui.widgets.dialog_box import DialogBox


class TextPage(Dialog[None]):
    """A scrolling page of text; Escape, q, ? or Enter closes it."""

    def __init__(self, title: str, appearance: tuple[Palette, Glyphs]) -> None:
        super().__init__()
        self.page_title = title
        self.appearance = appearance

    def content(self, width: int) -> list[Line]:
        """Return the lines of the page, wrapped to `width` cells."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield DialogBox(self.page_title)

    def on_mount(self) -> None:
        box = self.query_one(DialogBox)
        box.state = RunState()
        box.set_theme(*self.appearance)
        self._layout_box()

    def on_resize(self) -> None:
        self._layout_box()

    def _layout_box(self) -> None:
        width = min(84, self.app.size.width)
        content = self.content(width - 4)
        box = self.query_one(DialogBox)
        box.styles.width = width
        box.styles.height = min(len(content) + 2, self.app.size.height)
        box.fill(content)
        box.scroll_lines(0)

    def on_key(self, event: events.Key) -> None:
        event.stop()
        box = self.query_one(DialogBox)
        page = max(1, box.size.height - 3)
        jumps = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page}
        jumps |= {"space": page, "home": -(10**6), "g": -(10**6), "end": 10**6, "G": 10**6}
        if event.key in jumps:
            box.scroll_lines(jumps[event.key])
        elif event.key in ("escape", "q", "question_mark", "enter"):
            self.dismiss(None)

    def on_mouse_scroll_down(self) -> None:
        self.query_one(DialogBox).scroll_lines(3)

    def on_mouse_scroll_up(self) -> None:
        self.query_one(DialogBox).scroll_lines(-3)
