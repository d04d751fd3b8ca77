"""Large plots: training and validation loss, and accuracy on all validation images."""

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

MAX_MARKS = 40
"""The most validations that are drawn as points; more would merge into a line."""
Points = list[tuple[int, float]]
GHOSTS = len(PATTERNS) - 2
"""The number of earlier starts that are drawn; the last pattern is for constants."""


class Curves(Section):
    """Loss and accuracy of this start and of earlier ones, over the steps."""

    title = "curves"

    def body(self, width: int, height: int) -> Body:
        return body(self.lines(width, height))

    def lines(self, width: int, height: int) -> list[Line]:
        """Return both plots, one above the other."""
        upper_height = (height - 3) // 2
        loss = self._series(lambda curve: curve.loss)
        loss += self._validation_loss()
        accuracy = self._series(_accuracy)
        validations = self.state.curves[-1].full_validation
        if validations and accuracy:
            _, correct, total, _ = validations[-1]
            points = accuracy[-1].points if len(validations) <= MAX_MARKS else ()
            marks = [point for point in points if math.isfinite(point[1])]
            accuracy[-1] = replace(accuracy[-1], marks=marks, interval=interval(correct, total))
        chance = 1 / max(1, len(self.results.per_class))
        loss_title = "loss: training batches, and validation"
        accuracy_title = "accuracy on all validation images"
        return [
            *self._plot(loss_title, loss, width, upper_height),
            *self._plot(accuracy_title, accuracy, width, height - 3 - upper_height, floor=chance),
            line((f"       steps 1 to {self._last:,}", "dim")),
        ]

    def _series(self, values: Callable[[Curve], Points]) -> list[Series]:
        starts = [curve for curve in self.state.curves if values(curve)][-GHOSTS - 1 :]
        current = self.state.curves[-1]
        earlier = [curve for curve in starts if curve is not current]
        series = [
            self._one_series(values(curve), len(earlier) - index, curve.label)
            for index, curve in enumerate(earlier[-GHOSTS:])
        ]
        if values(current):
            series.append(self._one_series(values(current), 0, "now"))
        return series

    def _validation_loss(self) -> list[Series]:
        """Return the validation loss of this start, as sparse dots to distinguish it."""
        points = [(s, loss) for s, _, _, loss in self.state.curves[-1].full_validation]
        return [self._one_series(points, len(PATTERNS) - 1, "validation")] if points else []

    def _plot(
        self, title: str, series: list[Series], width: int, height: int, floor: float | None = None
    ) -> list[Line]:
        rule = "─" * max(0, width - len(title) - 4)
        heading = line((f"  {title} ", "text"), (rule, "dim"))
        if height < 2 or not series:
            text = "  There are no values yet." if height >= 1 else ""
            return [heading, line((text, "dim")), *[()] * (height - 1)]
        values = [value for curve in series for _, value in curve.points]
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
        return [heading, *[((" ", "text"), *row) for row in lines]]

    def _one_series(self, points: Points, pattern: int, label: str) -> Series:
        """Return a curve on an axis that ends at the last step, so that both plots align."""
        decimation = Decimation()
        decimation.take(points)
        buckets = [(bucket.step, bucket.mean) for bucket in decimation.buckets]
        value = format_short(points[-1][1])
        return Series([*buckets, (self._last, math.nan)], pattern, label, value)

    @property
    def _last(self) -> int:
        """The last step of the longest start."""
        return max((c.loss[-1][0] for c in self.state.curves if c.loss), default=1)


def _accuracy(curve: Curve) -> Points:
    return [(step, correct / total) for step, correct, total, _ in curve.full_validation if total]
