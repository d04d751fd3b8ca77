"""The curve of a learning-rate range test: the loss over the logarithm of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tui.drawing.lines import Line, Piece, line
from tui.drawing.plot import Canvas, Scale, Series, trace

LOWEST, HIGHEST = 1e-5, 10.0
"""Learning rates of the head that the axis contains from the beginning, so that it stays fixed."""
AXIS = 6
"""The width of the labels left of the curve, in cells."""


def lr_range_curve(
    points: Sequence[tuple[float, float]],
    proposal: float | None,
    width: int,
    height: int,
    *,
    plain: bool,
    format_value: Callable[[float], str],
) -> list[Line]:
    """Draw the curve so far.

    Args:
        points: (learning rate, loss); the rates are above 0.
        proposal: The learning rate to mark.
        width: Cells, with the labels.
        height: Lines, with the learning rates; at least 4.
        plain: Draw in ASCII.
        format_value: Formats a loss in at most five cells.
    """
    columns, rows = max(1, width - AXIS - 1), max(1, height - 2)
    rates = [rate for rate, _ in points] + ([] if proposal is None else [proposal])
    rate_axis = Scale(min([LOWEST, *rates]), max([HIGHEST, *rates]), log=True)
    canvas = Canvas(columns, rows, plain=plain)
    # Diverging losses are cut off at the top, else the rest of the curve would be flat.
    losses = [loss for _, loss in points if math.isfinite(loss)]
    first = losses[0] if losses else 1.0
    seen = [min(loss, 1.5 * first) for loss in losses] if first > 0 else losses
    scale = Scale.around(seen or [0.0, 1.0])
    across = [(1 + 999 * rate_axis.share(rate), loss) for rate, loss in points]
    trace(canvas, Series(across, 0, "loss", ""), 1000, scale)
    at = None if proposal is None else round(rate_axis.share(proposal) * (columns - 1))
    lines: list[Line] = []
    for row in range(rows):
        value = scale.high if row == 0 else scale.low if row == rows - 1 else None
        label = "" if value is None else format_value(value)
        cells = canvas.line(row)
        lines.append(((f"{label:>{AXIS - 1}} ", "dim"), *_marked(cells, at)))
    return [*lines, *_axis(rate_axis, columns, at, proposal, "+" if plain else "┴")]


def _marked(cells: list[Piece], at: int | None) -> list[Piece]:
    """Draw a vertical line behind the curve through a row of cells."""
    if at is None:
        return cells
    flat = [(character, style) for text, style in cells for character in text]
    if flat[at][0] == " ":
        flat[at] = ("│", "dim")
    return flat


def _axis(
    scale: Scale, columns: int, at: int | None, proposal: float | None, tick: str
) -> list[Line]:
    """Draw the axis with its decades, and the proposal below its mark."""
    ticks, labels = ["─"] * columns, [" "] * columns
    text, start = "", columns
    if at is not None and proposal is not None:
        text = f" {proposal:g} "
        start = max(0, min(columns - len(text), at - len(text) // 2))
    taken = range(start - 1, start + len(text) + 1) if text else range(0)
    low, high = round(math.log10(scale.low)), round(math.log10(scale.high))
    for decade in range(low, high + 1):
        column = round(scale.share(10.0**decade) * (columns - 1))
        label = f"1e{decade}"
        first = max(0, min(columns - len(label), column - len(label) // 2))
        free = all(cell == " " for cell in labels[max(0, first - 1) : first + len(label) + 1])
        if free and not set(range(first, first + len(label))) & set(taken):
            labels[first : first + len(label)] = label
        if 0 <= column < columns:
            ticks[column] = tick
    lead = " " * AXIS
    if not text:
        return [line((lead + "".join(ticks), "dim")), line((lead + "".join(labels), "dim"))]
    before, after = "".join(labels[:start]), "".join(labels[start + len(text) :])
    return [
        line((lead + "".join(ticks), "dim")),
        line((lead + before, "dim"), (text, "chosen"), (after, "dim")),
    ]
