"""A share with its 95 % interval, drawn on the line from 0 to 1."""

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
    """Such as `┈┈┈┈┈┈c┈┈┈━━●━┈` for chance at .5 and 71 of 80.

    Args:
        correct: Of the share.
        total: Of the share; with 0 only the marks are drawn.
        width: Cells.
        glyphs: Characters.
        marks: A character and a share, 0 to 1, of each thing to compare with.
    """
    cells: list[Piece] = [("┈", "dim")] * width

    def cell(share: float) -> int:
        return min(width - 1, max(0, int(share * width)))

    if total:
        low, high = interval(correct, total)
        for place in range(cell(low), cell(high) + 1):
            cells[place] = (glyphs.bar, "text")
    for mark, share in marks:
        cells[cell(share)] = (mark, "strong")
    if total:
        cells[cell(correct / total)] = (glyphs.updated, "strong")
    pieces: list[Piece] = []
    for text, style in cells:
        if pieces and pieces[-1][1] == style:
            pieces[-1] = (pieces[-1][0] + text, style)
        else:
            pieces.append((text, style))
    return tuple(pieces)
