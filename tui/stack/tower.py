"""The tower widget with the cursor's marker and the bricks.

Textual sends a changed line again from the left edge of its widget. The tower therefore consists of
two widgets that meet where the dots begin, so that moving dots are sent without the brick's edge.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.widget import Widget

from tui.drawing.line_widget import LineWidget
from tui.drawing.lines import Line, split_at
from tui.drawing.styles import PaletteStyles
from tui.stack.columns import MARKER

EDGE = 2
"""The cells of a brick left of its dots."""


class Tower(Widget):
    """The narrow left part of the stack."""

    DEFAULT_CSS = "Tower { height: 100%; layout: horizontal; }"

    def __init__(self) -> None:
        super().__init__()
        self._left, self._right = LineWidget(), LineWidget()
        self._left.styles.width = MARKER + EDGE
        self._right.styles.width = "1fr"

    def compose(self) -> ComposeResult:
        yield self._left
        yield self._right

    def set_palette_styles(self, styles: PaletteStyles) -> None:
        """Change the colours."""
        self._left.set_palette_styles(styles)
        self._right.set_palette_styles(styles)

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show these lines and repaint the cells that changed."""
        halves = [split_at(line, MARKER + EDGE) for line in lines]
        self._left.set_lines([left for left, _ in halves])
        self._right.set_lines([right for _, right in halves])
