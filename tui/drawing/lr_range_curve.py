"""The curve of a learning-rate range test: loss over rate, a decade as long as the next."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tui.drawing.lines import Line, Piece, line
from tui.drawing.plot import Canvas, Scale, Series, short, trace

LOWEST, HIGHEST = 1e-5, 10.0
"""Rates of the head that the axis holds from the beginning, so that the curve only grows."""
AXIS = 6
"""Cells left of the curve."""


def lr_range_curve(
    points: Sequence[tuple[float, float]],
    proposal: float | None,
    width: int,
    height: int,
    *,
    plain: bool,
) -> list[Line]:
    """The curve so far.

    Args:
        points: (rate, loss); rates above 0.
        proposal: The rate to mark.
        width: Cells, scale included.
        height: Lines, rates included; at least 4.
        plain: Draw in ASCII.
    """
    columns, rows = max(1, width - AXIS - 1), max(1, height - 2)
    rates = [rate for rate, _ in points] + ([] if proposal is None else [proposal])
    rate_axis = Scale(min([LOWEST, *rates]), max([HIGHEST, *rates]), log=True)
    canvas = Canvas(columns, rows, plain=plain)
    # What explodes would flatten all that can be learnt from: it leaves the picture at the top.
    losses = [loss for _, loss in points if math.isfinite(loss)]
    first = losses[0] if losses else 1.0
    seen = [min(loss, 1.5 * first) for loss in losses] if first > 0 else losses
    scale = Scale.around(seen or [0.0, 1.0])
    across = [(1 + 999 * rate_axis.share(rate), loss) for rate, loss in points]
    trace(canvas, Series(across, 0, "loss", ""), 1000, scale)
    at = None if proposal is None else round(rate_axis.share(proposal) * (columns - 1))
    lines: list[Line] = []
    for row in range(rows):
        label = short(scale.high) if row == 0 else short(scale.low) if row == rows - 1 else ""
        cells = canvas.line(row)
        lines.append(((f"{label:>{AXIS - 1}} ", "dim"), *_marked(cells, at)))
    return [*lines, *_axis(rate_axis, columns, at, proposal, "+" if plain else "┴")]


def _marked(cells: list[Piece], at: int | None) -> list[Piece]:
    """A vertical line through a row of cells, behind the curve."""
    if at is None:
        return cells
    flat = [(character, style) for text, style in cells for character in text]
    if flat[at][0] == " ":
        flat[at] = ("│", "dim")
    return flat


def _axis(
    scale: Scale, columns: int, at: int | None, proposal: float | None, tick: str
) -> list[Line]:
    """The decades, and the proposal under its mark."""
    ticks, words = ["─"] * columns, [" "] * columns
    text, start = "", columns
    if at is not None and proposal is not None:
        text = f" {proposal:g} "
        start = max(0, min(columns - len(text), at - len(text) // 2))
    taken = range(start - 1, start + len(text) + 1) if text else range(0)
    low, high = round(math.log10(scale.low)), round(math.log10(scale.high))
    for decade in range(low, high + 1):
        place = round(scale.share(10.0**decade) * (columns - 1))
        label = f"1e{decade}"
        first = max(0, min(columns - len(label), place - len(label) // 2))
        free = all(cell == " " for cell in words[max(0, first - 1) : first + len(label) + 1])
        if free and not set(range(first, first + len(label))) & set(taken):
            words[first : first + len(label)] = label
        if 0 <= place < columns:
            ticks[place] = tick
    lead = " " * AXIS
    if not text:
        return [line((lead + "".join(ticks), "dim")), line((lead + "".join(words), "dim"))]
    before, after = "".join(words[:start]), "".join(words[start + len(text) :])
    return [
        line((lead + "".join(ticks), "dim")),
        line((lead + before, "dim"), (text, "chosen"), (after, "dim")),
    ]
