"""The curve of a learning-rate schedule over its whole length."""

from __future__ import annotations

from tl_tui.protocol.config import Recipe
from tl_tui.settings.schedule import lr_factor
from tui.drawing.lines import Line, line
from tui.drawing.plot import Canvas, Scale, Series, trace

AXIS = 9
"""The width of the labels left of the curve, in cells."""


def schedule_curve(
    recipe: Recipe, steps: int, done: int | None, width: int, height: int, *, plain: bool
) -> list[Line]:
    """Draw the head's learning rate from the first step of a cycle to the last.

    Args:
        recipe: Contains the schedule, the warm-up and the head's base rate.
        steps: The number of steps of the cycle.
        done: The number of steps already taken, to mark the current step; None marks nothing.
        width: Cells, with the labels.
        height: Lines, with the step numbers; at least 3.
        plain: Draw in ASCII.
    """
    columns, rows = max(1, width - AXIS - 2), height - 1
    canvas = Canvas(columns, rows, plain=plain)
    dots = canvas.dots[0]
    points = []
    for x in range(dots):
        step = round(x / max(1, dots - 1) * max(0, steps - 1))
        share = lr_factor(recipe.schedule, step, steps, recipe.warmup)
        points.append((1 + x, share))
    trace(canvas, Series(points, 0, "", ""), dots, Scale(0.0, 1.0))
    lines: list[Line] = []
    for row in range(rows):
        label = f"{recipe.lr_head:.3g}" if row == 0 else "0" if row == rows - 1 else ""
        lines.append(((f"{label:>{AXIS - 1}} ", "dim"), *canvas.line(row)))
    left, right = "step 1", f"{steps:,}"
    axis = left + " " * max(1, columns - len(left) - len(right)) + right
    if done is not None and 0 <= done < steps:
        marker = f" now {done:,} "
        start = min(max(len(left) + 1, round(done / steps * columns) - len(marker) // 2), columns)
        if start + len(marker) < columns - len(right):
            before, after = axis[:start], axis[start + len(marker) :]
            lead = (" " * AXIS + before, "dim")
            return [*lines, line(lead, (marker, "strong"), (after, "dim"))]
    return [*lines, line((" " * AXIS + axis, "dim"))]
