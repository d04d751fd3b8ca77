"""Curves in dots: braille where the terminal has it, else characters.

Not made with a plotting library: the terminal ones draw neither two densities of line in one cell
nor a legend that stands at the height of the last value, and they bring compiled code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from tui.drawing.lines import Line, Piece

BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character's dots, [4 rows][2 columns]."""
HALVES = {0: " ", 1: "'", 2: ".", 3: ":"}
PATTERNS: tuple[tuple[int, int], ...] = ((1, 1), (3, 1), (6, 3), (9, 1))
"""(period, on) in dots along the curve: now, then the ghosts, the latest first."""
MARKS = ("─", "┈", "╌", "·")
POINT, PLAIN_POINT = "●", "o"
"""Of what stands out on a curve."""


@dataclass
class Series:
    """One curve: [points] of (x, y), nan for a gap."""

    points: Sequence[tuple[float, float]]
    pattern: int
    """Index in `PATTERNS`; 0 is now."""
    label: str
    value: str
    """The last value, as the legend shows it."""
    marks: Sequence[tuple[float, float]] = ()
    """Points that stand out on the curve."""
    interval: tuple[float, float] | None = None
    """How sure the last value is, lower and upper; drawn at its end and said in the legend."""


@dataclass(frozen=True)
class Scale:
    """A range of values, and whether a decade is as long as the next."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, values: Sequence[float]) -> Scale:
        """A scale that holds all finite values; logarithmic if they span more than 1 to 50."""
        finite = [value for value in values if math.isfinite(value)]
        if not finite:
            return cls(0.0, 1.0)
        low, high = min(finite), max(finite)
        if low > 0 and high / low > 50:
            return cls(low, high, log=True)
        if high - low < 1e-9 * max(1.0, abs(high)):
            pad = max(0.05, 1e-6 * abs(high))  # of a large value 0.05 is nothing
            low, high = low - pad, high + pad
        return cls(low, high)

    def share(self, value: float) -> float:
        """Where a value lies, 0 to 1."""
        if self.log:
            value = max(value, self.low)
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


class Canvas:
    """Cells of dots in two layers: now, and the ghosts behind it."""

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
        """Set a dot; x from the left, y from the top."""
        column, row = x // self.across, y // self.down
        if 0 <= column < self.width and 0 <= row < self.height:
            bits = self._cells.setdefault((column, row), [0, 0])
            inside_x, inside_y = x % self.across, y % self.down
            bits[ghost] |= 1 << inside_y if self.plain else BRAILLE[inside_y][inside_x]

    def mark(self, x: int, y: int) -> None:
        """Let a point stand out, whatever is drawn in its cell."""
        self._points.add((x // self.across, y // self.down))

    def line(self, row: int) -> list[Piece]:
        """A row of cells; cells that now's curve crosses are lit, the ghosts' are dim."""
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
    """Draw a curve from x = 1 to `last_x` over the whole canvas.

    Returns:
        The row of cells in which it ends; None if nothing of it is finite.
    """
    columns, rows = canvas.dots
    period, on = PATTERNS[series.pattern]

    def place(step: float, value: float) -> tuple[int, int]:
        x = round((step - 1) / max(1.0, last_x - 1) * (columns - 1))
        return x, round((1 - min(1.0, max(0.0, scale.share(value)))) * (rows - 1))

    before: tuple[int, int] | None = None
    end = None
    for step, value in _by_column(series.points, columns / max(1.0, last_x - 1)):
        if not math.isfinite(value):
            before = None
            continue
        x, y = place(step, value)
        for dot_x, dot_y in _segment(before or (x, y), (x, y)):
            if dot_x % period < on:
                canvas.put(dot_x, dot_y, ghost=series.pattern > 0)
        before, end = (x, y), y // canvas.down
    for step, value in series.marks:
        canvas.mark(*place(step, value))
    if series.interval is not None and before is not None:
        low, high = (place(last_x, value)[1] for value in series.interval)
        for dot_y in range(high, low + 1):
            canvas.put(before[0], dot_y, ghost=True)
    return end


def _by_column(
    points: Sequence[tuple[float, float]], columns_per_step: float
) -> Sequence[tuple[float, float]]:
    """Points that fall into one column of dots as their mean; a column of nan alone is a gap."""
    if columns_per_step >= 1 or len(points) < 3:
        return points
    found: list[tuple[float, float]] = []
    for _, column in groupby(points, key=lambda point: int(point[0] * columns_per_step)):
        inside = list(column)
        finite = [value for _, value in inside if math.isfinite(value)]
        mean = math.fsum(finite) / len(finite) if finite else math.nan
        found.append((inside[-1][0], mean))
    return found


def _segment(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """The dots between two dots, both included."""
    length = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [
        (
            round(start[0] + (end[0] - start[0]) * i / length),
            round(start[1] + (end[1] - start[1]) * i / length),
        )
        for i in range(length + 1)
    ]


def short(value: float) -> str:
    """A value in about three characters: `.43`, `1.2`, `36`, `4e+08`, `nan`."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) < 0.995:
        return f"{value:.2f}".replace("0.", ".", 1)
    return (
        f"{value:.1f}"
        if abs(value) < 100
        else f"{value:.0f}"
        if abs(value) < 1000
        else (f"{value:.0e}")
    )


def plot(
    series: Sequence[Series],
    width: int,
    height: int,
    *,
    scale: Scale,
    plain: bool,
    levels: Sequence[tuple[str, float]] = (),
) -> list[Line]:
    """Curves with their scale at the left and a legend with the last values at the right.

    Args:
        series: What to draw; the one of now is drawn over the others.
        width: Cells, legend and scale included.
        height: Cells.
        scale: The y axis.
        plain: Draw in ASCII.
        levels: Names and values of constants to compare with; the first matters most.

    Returns:
        `height` lines.
    """
    said = [_interval(s.interval) for s in series if s.interval is not None]
    legend = max((len(s.label) + len(s.value) for s in series), default=0) + 4
    legend = max(
        [legend, *(len(name) + 7 for name, _ in levels), *(len(text) + 3 for text in said)]
    )
    if width - legend - 6 < 12:
        legend = 0
    canvas = Canvas(max(1, width - legend - 6), height, plain=plain)
    last_x = max((s.points[-1][0] for s in series if s.points), default=1.0)
    labels: list[tuple[int, Line]] = []
    for one in sorted(series, key=lambda s: -s.pattern):
        row = trace(canvas, one, last_x, scale)
        style = "dim" if one.pattern else "text"
        place = height - 1 if row is None else row
        labels.append((place, _label(f"{MARKS[one.pattern]} ", one, legend, style)))
        if one.interval is not None and height > len(series) + 1:
            text = _interval(one.interval)
            labels.append((place, ((f" {text:>{legend - 1}}", "dim"),)))
    for name, value in levels:
        flat = Series([(1, value), (last_x, value)], 3, name, short(value))
        row = trace(canvas, flat, last_x, scale)
        if len(labels) < height:
            labels.append((row or 0, _label("  ", flat, legend, "dim")))
    beside = _spread(labels, height) if legend else {}
    lines: list[Line] = []
    for row in range(height):
        axis = short(scale.high) if row == 0 else short(scale.low) if row == height - 1 else ""
        lines.append(((f"{axis:>4} ", "dim"), *canvas.line(row), *beside.get(row, ())))
    return lines


def _interval(interval: tuple[float, float]) -> str:
    return f"({short(interval[0])} to {short(interval[1])})"


def _label(mark: str, series: Series, width: int, style: str) -> Line:
    gap = max(1, width - 3 - len(series.label) - len(series.value))
    return ((f" {mark}{series.label}{' ' * gap}{series.value}", style),)


def _spread(labels: list[tuple[int, Line]], height: int) -> dict[int, Line]:
    """Each label in a row of its own, as near to its curve's end as there is room."""
    placed: dict[int, Line] = {}
    ordered = sorted(labels, key=lambda label: label[0])[-height:]
    row = -1
    for index, (wanted, label) in enumerate(ordered):
        still_to_come = len(ordered) - index - 1
        row = min(max(wanted, row + 1), height - 1 - still_to_come)
        placed[row] = label
    return placed
