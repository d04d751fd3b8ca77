"""The framed box of text that dialogs consist of."""

from __future__ import annotations

from rich.cells import cell_len

from tui.drawing.lines import Line, clipped, fitted, line_width
from tui.state.run_state import RunState
from tui.widgets.state_lines import StateLines


class DialogBox(StateLines):
    """Draws its content inside a frame, scrolled to `offset_line`."""

    def __init__(self, title: str) -> None:
        super().__init__(id="box")
        self.title = title
        self.content: list[Line] = []
        self.offset_line = 0

    def fill(self, content: list[Line]) -> None:
        """Replace the content."""
        self.content = content
        self.redraw()

    def scroll_lines(self, lines: int) -> None:
        """Scroll down by a number of lines, or up if negative."""
        last = max(0, len(self.content) - (self.size.height - 2))
        self.offset_line = max(0, min(last, self.offset_line + lines))
        self.redraw()

    def lines(self, state: RunState) -> list[Line]:
        width, height = self.size
        title = fitted(self.glyphs.text(self.title), width - 6)
        rest = "─" * (width - 5 - cell_len(title))
        shown = self.content[self.offset_line : self.offset_line + height - 2]
        hidden = len(self.content) - self.offset_line - len(shown)
        more = f" {hidden} more lines " if hidden > 0 else ""
        bottom = "╰" + more.center(width - 2, "─") + "╯"
        body: list[Line] = []
        for pieces in [*shown, *[()] * (height - 2 - len(shown))]:
            plain = tuple((self.glyphs.text(text), style) for text, style in pieces)
            pieces = clipped(plain, width - 4)
            pad = " " * max(0, width - 4 - line_width(pieces))
            body.append((("│ ", "dim"), *pieces, (pad, "text"), (" │", "dim")))
        top: Line = (("╭─ ", "dim"), (title, "strong"), (f" {rest}╮", "dim"))
        return [top, *body, ((bottom, "dim"),)]
