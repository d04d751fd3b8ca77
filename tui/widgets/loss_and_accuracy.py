"""The plots of training loss and validation accuracy, with earlier starts as ghosts."""

from __future__ import annotations

from dataclasses import replace

from tl_tui.common.metrics import interval
from tui.drawing.decimation import Decimation
from tui.drawing.lines import Line, line, wrapped
from tui.drawing.plot import PATTERNS, Scale, Series, plot
from tui.state.curve import Curve
from tui.state.run_state import RunState
from tui.text.format import format_short
from tui.widgets.state_lines import StateLines

GHOSTS = len(PATTERNS) - 2
"""The number of earlier starts that are drawn. The last pattern is for constants."""


class _Curves(StateLines):
    """A plot of one number over the steps of each start."""

    heading = ""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.framed = False
        self._decimations: list[tuple[Curve, Decimation]] = []

    def values(self, curve: Curve) -> list[tuple[int, float]]:
        """Return all (step, value) of a curve, in order; values are only ever appended."""
        raise NotImplementedError

    def last_value(self, curve: Curve) -> str:
        """Return the last value of a curve for the legend."""
        raise NotImplementedError

    def graph(self, series: list[Series], width: int, height: int, state: RunState) -> list[Line]:
        """Return the lines of the plot."""
        raise NotImplementedError

    def lines(self, state: RunState) -> list[Line]:
        width, height = self.size
        if state.session is None:
            return []
        heading: list[Line] = []
        if not self.framed:
            rule = "─" * max(1, width - len(self.heading) - 3)
            heading = [((f"{self.heading} ", "text"), (rule, "dim"))]
            width -= 1
        room = height - len(heading)
        series = self._series(state)
        if not series and not state.provisional:
            texts = wrapped(self.why_empty(state), max(1, width - 2), max(0, room))
            return [*heading, *(line((f" {text}", "dim")) for text in texts)]
        if room < 2 or width < 20 or not series:
            return heading
        return heading + self.graph(series, width, room, state)

    def _series(self, state: RunState) -> list[Series]:
        curves = [curve for curve in state.curves[-GHOSTS - 1 :] if self.values(curve)]
        known = {id(curve): decimation for curve, decimation in self._decimations}
        self._decimations = [(c, known.get(id(c)) or Decimation()) for c in curves]
        series = []
        for index, (curve, decimation) in enumerate(self._decimations):
            points = self.values(curve)
            if len(points) < decimation.seen:
                decimation.__init__()  # type: ignore[misc]
            decimation.take(points)
            now = curve is state.curves[-1]
            buckets = [(bucket.step, bucket.mean) for bucket in decimation.buckets]
            if not now and not curve.strategies:
                continue
            pattern = 0 if now else len(curves) - index - (curves[-1] is state.curves[-1])
            label = self._now_label(points[-1][0], state) if now else curve.label
            drawn = Series(buckets, max(0, pattern), label, self.last_value(curve))
            series.append(self.current(drawn, curve) if now else drawn)
        return series

    @staticmethod
    def _now_label(step: int, state: RunState) -> str:
        """Return the label of the current start: the step of its last value, if it is not now."""
        return "now" if step == state.step else f"step {step:,}"

    def current(self, series: Series, curve: Curve) -> Series:
        """Return the series of the current start with what only that one shows."""
        return series

    def why_empty(self, state: RunState) -> str:
        """Return why there is no value yet, and which key leads to one."""
        raise NotImplementedError


class LossCurve(_Curves):
    """The loss of each training batch."""

    heading = "loss"

    def values(self, curve: Curve) -> list[tuple[int, float]]:
        return curve.loss

    def last_value(self, curve: Curve) -> str:
        return format_short(curve.loss[-1][1])

    def why_empty(self, state: RunState) -> str:
        if state.results.fold is not None:
            return "No step yet: a cross-validation runs."
        if state.running:
            return "The first step is running."
        return "No step yet: t takes one, r trains." if state.idle else "No step yet."

    def graph(self, series: list[Series], width: int, height: int, state: RunState) -> list[Line]:
        scale = Scale.around([value for curve in series for _, value in curve.points])
        plain = self.glyphs.plain
        return plot(series, width, height, scale=scale, plain=plain, format_value=format_short)


class AccuracyCurve(_Curves):
    """The validation accuracy: on the yardstick after single steps, and on all validation images
    after each epoch, which are drawn with markers."""

    heading = "accuracy"

    def values(self, curve: Curve) -> list[tuple[int, float]]:
        return curve.accuracy

    def last_value(self, curve: Curve) -> str:
        _, right, total = self._last(curve)
        share = format_short(right / total)
        return f"{right}/{total} {share}" if self.size.width > 50 else share

    def why_empty(self, state: RunState) -> str:
        if state.running:
            return "No validation yet: one follows each epoch."
        if state.idle:
            return "No validation yet: t makes one of a sample, e of all images."
        return "No validation yet."

    @staticmethod
    def _last(curve: Curve) -> tuple[int, int, int]:
        """Return (step, correct, total) of the last validation of either kind."""
        last = [values[-1][:3] for values in (curve.validation, curve.full_validation) if values]
        return max(last, key=lambda value: (value[0], value[2]))

    def current(self, series: Series, curve: Curve) -> Series:
        _, right, total = self._last(curve)
        # As many evenly spaced points as can be distinguished, and always the last one.
        full = curve.full_validation
        stride = max(1, len(full) // max(1, self.size.width // 2))
        marks = [(step, right / total) for step, right, total, _ in full[::-1][::stride] if total]
        return replace(series, marks=marks, interval=interval(right, total))

    def graph(self, series: list[Series], width: int, height: int, state: RunState) -> list[Line]:
        levels = _levels(state)
        values = [value for curve in series for _, value in curve.points]
        lowest = min([*values, *(value for _, value in levels)])
        scale = Scale(max(0.0, lowest - 0.05), 1.0)
        return plot(
            series,
            width,
            height,
            scale=scale,
            plain=self.glyphs.plain,
            format_value=format_short,
            levels=levels,
        )


def _levels(state: RunState) -> list[tuple[str, float]]:
    """Return the accuracy of guessing, and of always choosing the most frequent class if that is
    higher."""
    session = state.session
    if session is None or not session.classes:
        return []
    chance = 1 / len(session.classes)
    majority = session.majority / session.val_images if session.val_images else chance
    if majority - chance < 0.005:
        return [("chance", chance)]
    return [("majority", majority), ("chance", chance)]
