"""A widget that draws given lines and repaints only the cells that changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.drawing.spans import Spans, changed
from tui.drawing.styles import Ink


class SpanLines(Widget):
    """Lines of styled text, drawn through Textual's Line API."""

    def __init__(self, ink: Ink) -> None:
        super().__init__()
        self._ink = ink
        self._lines: tuple[Spans, ...] = ()

    def set_ink(self, ink: Ink) -> None:
        """Draw everything in other colours."""
        self._ink = ink
        self.refresh()

    def set_lines(self, lines: Sequence[Spans]) -> None:
        """Show these lines; only what differs from the last ones is painted."""
        before, self._lines = self._lines, tuple(lines)
        if len(before) != len(self._lines):
            self.refresh()
            return
        regions = []
        for y, (old, new) in enumerate(zip(before, self._lines, strict=True)):
            cells = changed(old, new)
            if cells is not None:
                regions.append(Region(cells[0], y, cells[1] - cells[0], 1))
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        spans = self._lines[y] if y < len(self._lines) else ()
        strip = Strip([Segment(text, self._ink.style(style)) for text, style in spans])
        # A padding without a style would stop Textual's NO_COLOR filter.
        return strip.adjust_cell_length(self.size.width, Style())
