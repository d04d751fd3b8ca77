"""A proportion with its 95 % confidence interval, drawn on an axis from 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence

from tl_tui.common.metrics import interval
from tui.drawing.lines import Line, Piece
from tui.drawing.theme import Glyphs


def interval_line(
    correct: int,
    total: int,
    width: int,
    glyphs: Glyphs,
    marks: Sequence[tuple[str, float]] = (),
) -> Line:
    """Return a line such as `┈┈┈┈┈┈c┈┈┈━━●━┈`, for chance at .5 and 71 of 80 correct.

    Args:
        correct: The number of correct images.
        total: The number of images; with 0, only the marks are drawn.
        width: The width of the line, in cells.
        glyphs: The characters of the terminal.
        marks: Values to compare with: a character and a position from 0 to 1 for each.
    """
    cells: list[Piece] = [("┈", "dim")] * width

    def cell(value: float) -> int:
        return min(width - 1, max(0, int(value * width)))

    if total:
        low, high = interval(correct, total)
        for index in range(cell(low), cell(high) + 1):
            cells[index] = (glyphs.bar, "text")
    for mark, value in marks:
        cells[cell(value)] = (mark, "strong")
    if total:
        cells[cell(correct / total)] = (glyphs.updated, "strong")
    pieces: list[Piece] = []
    for text, style in cells:
        if pieces and pieces[-1][1] == style:
            pieces[-1] = (pieces[-1][0] + text, style)
        else:
            pieces.append((text, style))
    return tuple(pieces)
