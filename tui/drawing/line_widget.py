"""A widget that draws lines and repaints only the cells that changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.drawing.lines import Line, changed_cells
from tui.drawing.styles import PaletteStyles
from tui.drawing.theme import PALETTES


class LineWidget(Widget, can_focus=False):
    """Lines of styled text, drawn through Textual's Line API."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._palette_styles = PaletteStyles(PALETTES["terminal"])
        self._lines: tuple[Line, ...] = ()

    def set_palette_styles(self, styles: PaletteStyles) -> None:
        """Change the colours."""
        self._palette_styles = styles
        self.refresh()

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show these lines and repaint the cells that changed."""
        before, self._lines = self._lines, tuple(lines)
        regions = []
        for y in range(max(len(before), len(self._lines))):
            old = before[y] if y < len(before) else ()
            new = self._lines[y] if y < len(self._lines) else ()
            if cells := changed_cells(old, new):
                first, end = cells[0], min(cells[1], self.size.width)
                if first < end:
                    regions.append(Region(first, y, end - first, 1))
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        pieces = self._lines[y] if y < len(self._lines) else ()
        strip = Strip([Segment(text, self.line_style(style)) for text, style in pieces])
        # Textual's NO_COLOR filter fails on padding without a style.
        return strip.adjust_cell_length(self.size.width, self.line_style("text"))

    def line_style(self, name: str) -> Style:
        """Return the style of a name, as `PaletteStyles.style` does."""
        return self._palette_styles.style(name)
