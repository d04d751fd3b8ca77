"""Plots of curves in braille dots, or in ASCII where the terminal has no Unicode.

No plotting library is used: those for terminals can neither mix solid and dotted curves in one cell
nor place a legend at the height of the last value, and they contain compiled code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from tui.drawing.lines import Line, Piece

BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bits of a braille character's dots, [4 rows][2 columns]."""
HALVES = {0: " ", 1: "'", 2: ".", 3: ":"}
PATTERNS: tuple[tuple[int, int], ...] = ((1, 1), (3, 1), (6, 3), (9, 1))
"""Dash patterns as (period, on) in dots: the current curve, then the ghosts, latest first."""
MARKS = ("─", "┈", "╌", "·")
POINT, PLAIN_POINT = "●", "o"
"""The marker for single points of a curve."""


@dataclass
class Series:
    """One curve."""

    points: Sequence[tuple[float, float]]
    """[points] of (x, y); nan makes a gap."""
    pattern: int
    """The index in `PATTERNS`; 0 is the current curve, the others are ghosts."""
    label: str
    value: str
    """The last value as the legend shows it."""
    marks: Sequence[tuple[float, float]] = ()
    """Points to draw with a marker."""
    interval: tuple[float, float] | None = None
    """The confidence interval of the last value; drawn at the curve's end and in the legend."""


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic range of values."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, values: Sequence[float]) -> Scale:
        """Return a scale for all finite values; logarithmic above a ratio of 50 between them."""
        finite = [value for value in values if math.isfinite(value)]
        if not finite:
            return cls(0.0, 1.0)
        low, high = min(finite), max(finite)
        if low > 0 and high / low > 50:
            return cls(low, high, log=True)
        if high - low < 1e-9 * max(1.0, abs(high)):
            pad = max(0.05, 1e-6 * abs(high))  # 0.05 vanishes next to a large value
            low, high = low - pad, high + pad
        return cls(low, high)

    def share(self, value: float) -> float:
        """Return the position of a value on the scale, from 0 to 1."""
        if self.log:
            value = max(value, self.low)
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


class Canvas:
    """Cells of dots in two layers: the current curve in front, ghosts behind."""

    def __init__(self, width: int, height: int, *, plain: bool) -> None:
        self.width, self.height, self.plain = width, height, plain
        self.across, self.down = (1, 2) if plain else (2, 4)
        self._cells: dict[tuple[int, int], list[int]] = {}
        self._points: set[tuple[int, int]] = set()

    @property
    def dots(self) -> tuple[int, int]:
        """(columns, rows) of dots."""
        return self.width * self.across, self.height * self.down

    def put(self, x: int, y: int, ghost: bool) -> None:
        """Set a dot.

        Args:
            x: Column of dots, from the left.
            y: Row of dots, from the top.
            ghost: Set it in the layer behind.
        """
        column, row = x // self.across, y // self.down
        if 0 <= column < self.width and 0 <= row < self.height:
            bits = self._cells.setdefault((column, row), [0, 0])
            inside_x, inside_y = x % self.across, y % self.down
            bits[ghost] |= 1 << inside_y if self.plain else BRAILLE[inside_y][inside_x]

    def mark(self, x: int, y: int) -> None:
        """Draw a marker in the cell of a dot."""
        self._points.add((x // self.across, y // self.down))

    def line(self, row: int) -> list[Piece]:
        """Return a row of cells. Cells with dots of ghosts only are dim."""
        pieces: list[Piece] = []
        for column in range(self.width):
            now, ghosts = self._cells.get((column, row), (0, 0))
            bits = now | ghosts
            text = HALVES[bits] if self.plain else chr(0x2800 + bits) if bits else " "
            style = "text" if now or not bits else "dim"
            if (column, row) in self._points:
                text, style = PLAIN_POINT if self.plain else POINT, "strong"
            if pieces and pieces[-1][1] == style:
                pieces[-1] = (pieces[-1][0] + text, style)
            else:
                pieces.append((text, style))
        return pieces


def trace(canvas: Canvas, series: Series, last_x: float, scale: Scale) -> int | None:
    """Draw a curve.

    Args:
        canvas: Where to draw.
        series: The curve.
        last_x: The x of the right edge; the left edge is 1.
        scale: The y axis.

    Returns:
        The row of cells in which the curve ends; None if no value is finite.
    """
    columns, rows = canvas.dots
    period, on = PATTERNS[series.pattern]

    def dot_of(step: float, value: float) -> tuple[int, int]:
        x = round((step - 1) / max(1.0, last_x - 1) * (columns - 1))
        return x, round((1 - min(1.0, max(0.0, scale.share(value)))) * (rows - 1))

    before: tuple[int, int] | None = None
    end = None
    for step, value in _by_column(series.points, columns / max(1.0, last_x - 1)):
        if not math.isfinite(value):
            before = None
            continue
        x, y = dot_of(step, value)
        for dot_x, dot_y in _segment(before or (x, y), (x, y)):
            if dot_x % period < on:
                canvas.put(dot_x, dot_y, ghost=series.pattern > 0)
        before, end = (x, y), y // canvas.down
    for step, value in series.marks:
        canvas.mark(*dot_of(step, value))
    if series.interval is not None and before is not None:
        low, high = (dot_of(last_x, value)[1] for value in series.interval)
        for dot_y in range(high, low + 1):
            canvas.put(before[0], dot_y, ghost=True)
    return end


def _by_column(
    points: Sequence[tuple[float, float]], columns_per_step: float
) -> Sequence[tuple[float, float]]:
    """Average the points that share a column of dots; a column with only nan is a gap."""
    if columns_per_step >= 1 or len(points) < 3:
        return points
    averaged: list[tuple[float, float]] = []
    for _, column in groupby(points, key=lambda point: int(point[0] * columns_per_step)):
        inside = list(column)
        finite = [value for _, value in inside if math.isfinite(value)]
        mean = math.fsum(finite) / len(finite) if finite else math.nan
        averaged.append((inside[-1][0], mean))
    return averaged


def _segment(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the dots on the line between two dots, with both ends."""
    length = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [
        (
            round(start[0] + (end[0] - start[0]) * i / length),
            round(start[1] + (end[1] - start[1]) * i / length),
        )
        for i in range(length + 1)
    ]


def plot(
    series: Sequence[Series],
    width: int,
    height: int,
    *,
    scale: Scale,
    plain: bool,
    format_value: Callable[[float], str],
    levels: Sequence[tuple[str, float]] = (),
) -> list[Line]:
    """Plot curves with their scale on the left and a legend with the last values on the right.

    Args:
        series: The curves; the current one is drawn over the others.
        width: Cells, with legend and scale.
        height: Lines.
        scale: The y axis.
        plain: Draw in ASCII.
        format_value: Formats a value of the y axis in about four cells.
        levels: Names and values of constants to compare with, the most important first.

    Returns:
        `height` lines.
    """
    intervals = [
        f"({format_value(s.interval[0])} to {format_value(s.interval[1])})" if s.interval else ""
        for s in series
    ]
    widest_interval = max((len(text) + 3 for text in intervals if text), default=0)
    widest_label = max((len(s.label) + len(s.value) for s in series), default=0) + 4
    legend = max([widest_label, widest_interval, *(len(name) + 7 for name, _ in levels)])
    if width - legend - 6 < 12:
        legend = 0
    canvas = Canvas(max(1, width - legend - 6), height, plain=plain)
    last_x = max((s.points[-1][0] for s in series if s.points), default=1.0)
    labels: list[tuple[int, Line]] = []
    drawn = sorted(zip(series, intervals, strict=True), key=lambda pair: -pair[0].pattern)
    for curve, interval in drawn:
        end = trace(canvas, curve, last_x, scale)
        style = "dim" if curve.pattern else "text"
        row = height - 1 if end is None else end
        labels.append((row, _label(f"{MARKS[curve.pattern]} ", curve, legend, style)))
        if interval and height > len(series) + 1:
            labels.append((row, ((f" {interval:>{legend - 1}}", "dim"),)))
    for name, value in levels:
        flat = Series([(1, value), (last_x, value)], 3, name, format_value(value))
        end = trace(canvas, flat, last_x, scale)
        if len(labels) < height:
            labels.append((end or 0, _label("  ", flat, legend, "dim")))
    row_labels = _spread(labels, height) if legend else {}
    lines: list[Line] = []
    for row in range(height):
        tick = scale.high if row == 0 else scale.low if row == height - 1 else None
        axis = "" if tick is None else format_value(tick)
        lines.append(((f"{axis:>4} ", "dim"), *canvas.line(row), *row_labels.get(row, ())))
    return lines


def _label(mark: str, series: Series, width: int, style: str) -> Line:
    gap = max(1, width - 3 - len(series.label) - len(series.value))
    return ((f" {mark}{series.label}{' ' * gap}{series.value}", style),)


def _spread(labels: list[tuple[int, Line]], height: int) -> dict[int, Line]:
    """Assign a separate row to each label, as close to its curve's end as possible."""
    placed: dict[int, Line] = {}
    ordered = sorted(labels, key=lambda label: label[0])[-height:]
    row = -1
    for index, (wanted, label) in enumerate(ordered):
        still_to_come = len(ordered) - index - 1
        row = min(max(wanted, row + 1), height - 1 - still_to_come)
        placed[row] = label
    return placed
