"""A widget made of whole lines that sends only the cells that changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.drawing.theme import PALETTES, UNICODE, Glyphs, Palette
from tui.state.run_state import RunState

Piece = tuple[str, str]
"""Text and the name of its style, a field of `Palette`."""
Line = tuple[Piece, ...]


def line(*pieces: str | Piece) -> Line:
    """A line of pieces; bare text has the style `text`."""
    return tuple((piece, "text") if isinstance(piece, str) else piece for piece in pieces)


def line_width(pieces: Iterable[Piece]) -> int:
    """Cells that the pieces take."""
    return sum(cell_len(text) for text, _ in pieces)


def fitted(text: str, width: int) -> str:
    """The text, cut with an ellipsis to at most so many cells."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 1 else text[: max(0, width)]


def clipped(pieces: Line, width: int) -> Line:
    """The line in at most so many cells, the last piece cut with an ellipsis."""
    kept: list[Piece] = []
    for text, style in pieces:
        if cell_len(text) > width:
            return (*kept, (fitted(text, width), style))
        kept.append((text, style))
        width -= cell_len(text)
    return tuple(kept)


def justified(left: Sequence[Piece], right: Sequence[Piece], width: int) -> Line:
    """Both ends of a line of so many cells; the left end is cut if there is no room for both."""
    room = width - line_width(right) - 1
    kept: list[Piece] = []
    for text, style in left:
        if cell_len(text) > room:
            kept.append((fitted(text, room), style))
            room = 0
            break
        kept.append((text, style))
        room -= cell_len(text)
    return (*kept, (" " * (room + 1), "text"), *right)


def wrapped(text: str, width: int, lines: int) -> list[str]:
    """The text in at most so many lines of so many cells, the last one cut if need be."""
    from textwrap import wrap

    found = wrap(text, max(8, width), break_long_words=True)
    if len(found) > lines:
        found = [*found[: lines - 1], fitted(" ".join(found[lines - 1 :]), max(8, width))]
    return found


class PaintedLines(Widget, can_focus=False):
    """Draws what `lines()` gives for the state, and repaints from the first changed cell only."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.state: RunState | None = None
        self.palette: Palette = PALETTES["terminal"]
        self.glyphs: Glyphs = UNICODE
        self._drawn: list[Line] = []

    def lines(self, state: RunState) -> list[Line]:
        """What to draw in `self.size`; missing lines and cells are blank."""
        raise NotImplementedError

    def dress(self, palette: Palette, glyphs: Glyphs) -> None:
        """Take other colours and characters."""
        self.palette, self.glyphs = palette, glyphs
        self.redraw()
        self.refresh()

    def show(self, state: RunState) -> None:
        """Show the state as it is now."""
        self.state = state
        self.redraw()

    def on_resize(self) -> None:
        self.redraw()

    def redraw(self) -> None:
        """Draw again and repaint what is different."""
        if self.state is None or not self.size:
            return
        text = self.glyphs.text
        new = [
            tuple((text(piece), style) for piece, style in pieces if piece)
            for pieces in self.lines(self.state)[: self.size.height]
        ]
        old, self._drawn = self._drawn, new
        changed = []
        for y in range(max(len(old), len(new))):
            before = old[y] if y < len(old) else ()
            after = new[y] if y < len(new) else ()
            if before != after:
                start, end = _difference(before, after)
                changed.append(Region(start, y, min(end, self.size.width) - start, 1))
        changed = [region for region in changed if region]
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        blank = self.palette.style("text")
        if y >= len(self._drawn):
            return Strip.blank(self.size.width, blank)
        segments = [Segment(text, self.palette.style(style)) for text, style in self._drawn[y]]
        return Strip(segments).adjust_cell_length(self.size.width, blank)


def _difference(before: Line, after: Line) -> tuple[int, int]:
    """First and past the last column in which two lines differ."""
    old, new = _cells(before), _cells(after)
    length = max(len(old), len(new))
    blank = (" ", "text")
    old += [blank] * (length - len(old))
    new += [blank] * (length - len(new))
    differ = [x for x in range(length) if old[x] != new[x]]
    return (differ[0], differ[-1] + 1) if differ else (0, 0)


def _cells(pieces: Line) -> list[Piece]:
    """One piece a cell; a wide character takes two."""
    return [
        (character, style)
        for text, style in pieces
        for character in text
        for _ in range(cell_len(character))
    ]
