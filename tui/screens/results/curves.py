"""The curves, large: training and validation loss, and accuracy on all validation images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from tl_tui.common.metrics import interval
from tui.drawing.decimation import Decimation
from tui.drawing.lines import Line, line
from tui.drawing.plot import PATTERNS, Scale, Series, plot
from tui.screens.full_screen import Body, body
from tui.screens.results.section import Section
from tui.state.curve import Curve
from tui.text.format import format_short

MOST_MARKS = 40
"""Validations that stand out as points; more would be a line of points."""
Points = list[tuple[int, float]]
GHOSTS = len(PATTERNS) - 2
"""Earlier starts that are drawn; the last pattern is for a constant."""


class Curves(Section):
    title = "curves"

    def body(self, width: int, height: int) -> Body:
        return body(self.lines(width, height))

    def lines(self, width: int, height: int) -> list[Line]:
        """Both curves, one above the other."""
        upper = (height - 3) // 2
        loss = self._series(lambda curve: curve.loss)
        loss += self._validation_loss()
        accuracy = self._series(_accuracy)
        whole = self.state.curves[-1].full_validation
        if whole and accuracy:
            _, right, total, _ = whole[-1]
            points = accuracy[-1].points if len(whole) <= MOST_MARKS else ()
            marks = [point for point in points if math.isfinite(point[1])]
            accuracy[-1] = replace(accuracy[-1], marks=marks, interval=interval(right, total))
        chance = 1 / max(1, len(self.results.per_class))
        above = "loss: training batches, and validation"
        below = "accuracy on all validation images"
        return [
            *self._plot(above, loss, width, upper),
            *self._plot(below, accuracy, width, height - 3 - upper, floor=chance),
            line((f"       steps 1 to {self._last:,}", "dim")),
        ]

    def _series(self, values: Callable[[Curve], Points]) -> list[Series]:
        starts = [curve for curve in self.state.curves if values(curve)][-GHOSTS - 1 :]
        now = self.state.curves[-1]
        earlier = [curve for curve in starts if curve is not now]
        series = [
            self._one(values(curve), len(earlier) - place, curve.label)
            for place, curve in enumerate(earlier[-GHOSTS:])
        ]
        if values(now):
            series.append(self._one(values(now), 0, "now"))
        return series

    def _validation_loss(self) -> list[Series]:
        """Of now; as dots that are far apart, so that it is told from the training loss."""
        points = [(s, loss) for s, _, _, loss in self.state.curves[-1].full_validation]
        return [self._one(points, len(PATTERNS) - 1, "validation")] if points else []

    def _plot(
        self, title: str, series: list[Series], width: int, height: int, floor: float | None = None
    ) -> list[Line]:
        rule = "─" * max(0, width - len(title) - 4)
        head = line((f"  {title} ", "text"), (rule, "dim"))
        if height < 2 or not series:
            words = "  Nothing yet: it begins with the first step." if height >= 1 else ""
            return [head, line((words, "dim")), *[()] * (height - 1)]
        values = [value for one in series for _, value in one.points]
        if floor is None:
            scale, levels = Scale.around(values), []
        else:
            scale = Scale(max(0.0, min([*values, floor]) - 0.05), 1.0)
            levels = [("chance", floor)]
        lines = plot(
            series,
            width - 2,
            height,
            scale=scale,
            plain=self.glyphs.plain,
            format_value=format_short,
            levels=levels,
        )
        return [head, *[((" ", "text"), *one) for one in lines]]

    def _one(self, points: Points, pattern: int, label: str) -> Series:
        """A curve that ends where the longest one does, so that two plots stand step by step."""
        decimation = Decimation()
        decimation.take(points)
        buckets = [(bucket.step, bucket.mean) for bucket in decimation.buckets]
        value = format_short(points[-1][1])
        return Series([*buckets, (self._last, math.nan)], pattern, label, value)

    @property
    def _last(self) -> int:
        """The last step of the longest start that is drawn."""
        return max((c.loss[-1][0] for c in self.state.curves if c.loss), default=1)


def _accuracy(curve: Curve) -> Points:
    return [(step, right / total) for step, right, total, _ in curve.full_validation if total]
