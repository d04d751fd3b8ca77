"""Loss and validation accuracy of this start, with the earlier starts as ghosts."""

from __future__ import annotations

from dataclasses import replace

from tl_tui.common.metrics import interval
from tui.drawing.decimation import Decimation
from tui.drawing.lines import Line
from tui.drawing.plot import PATTERNS, Scale, Series, plot, short
from tui.state.curve import Curve
from tui.state.run_state import RunState
from tui.widgets.state_lines import StateLines

GHOSTS = len(PATTERNS) - 2
"""Earlier starts that are drawn, the latest; the last pattern is for a constant."""


class _Curves(StateLines):
    """Draws one number of every start."""

    heading = ""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.framed = False
        self._decimations: list[tuple[Curve, Decimation]] = []

    def values(self, curve: Curve) -> list[tuple[int, float]]:
        """(step, value) of a curve, in order; the list only ever grows."""
        raise NotImplementedError

    def last_value(self, curve: Curve) -> str:
        raise NotImplementedError

    def graph(self, series: list[Series], width: int, height: int, state: RunState) -> list[Line]:
        """The lines of the plot itself."""
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
        if room < 2 or width < 20 or not series:
            return heading
        return heading + self.graph(series, width, room, state)

    def _series(self, state: RunState) -> list[Series]:
        curves = [curve for curve in state.curves[-GHOSTS - 1 :] if self.values(curve)]
        known = {id(curve): decimation for curve, decimation in self._decimations}
        self._decimations = [(c, known.get(id(c)) or Decimation()) for c in curves]
        series = []
        for place, (curve, decimation) in enumerate(self._decimations):
            points = self.values(curve)
            if len(points) < decimation.seen:
                decimation.__init__()  # type: ignore[misc]
            decimation.take(points)
            now = curve is state.curves[-1]
            buckets = [(bucket.step, bucket.mean) for bucket in decimation.buckets]
            if not now and not curve.strategies:
                continue
            pattern = 0 if now else len(curves) - place - (curves[-1] is state.curves[-1])
            label = "now" if now else curve.label
            one = Series(buckets, max(0, pattern), label, self.last_value(curve))
            series.append(self.finished(one, curve) if now else one)
        return series

    def finished(self, series: Series, curve: Curve) -> Series:
        """The curve of now, with what only it shows."""
        return series


class LossCurve(_Curves):
    """The loss of each training batch."""

    heading = "loss"

    def values(self, curve: Curve) -> list[tuple[int, float]]:
        return curve.loss

    def last_value(self, curve: Curve) -> str:
        return short(curve.loss[-1][1])

    def graph(self, series: list[Series], width: int, height: int, state: RunState) -> list[Line]:
        scale = Scale.around([value for one in series for _, value in one.points])
        return plot(series, width, height, scale=scale, plain=self.glyphs.plain)


class AccuracyCurve(_Curves):
    """The share of validation images that were right: of the yardstick after single steps, of all
    of them after each epoch, whose points stand out."""

    heading = "accuracy"

    def values(self, curve: Curve) -> list[tuple[int, float]]:
        return curve.accuracy

    def last_value(self, curve: Curve) -> str:
        _, right, total = self._last(curve)
        share = short(right / total)
        return f"{right}/{total} {share}" if self.size.width > 50 else share

    @staticmethod
    def _last(curve: Curve) -> tuple[int, int, int]:
        """(step, correct, total) of the last evaluation of either kind."""
        every = [one[-1][:3] for one in (curve.validation, curve.full_validation) if one]
        return max(every, key=lambda one: (one[0], one[2]))

    def finished(self, series: Series, curve: Curve) -> Series:
        _, right, total = self._last(curve)
        # As many points as can be told apart, evenly; the last one always.
        whole = curve.full_validation
        every = max(1, len(whole) // max(1, self.size.width // 2))
        marks = [(step, right / total) for step, right, total, _ in whole[::-1][::every] if total]
        return replace(series, marks=marks, interval=interval(right, total))

    def graph(self, series: list[Series], width: int, height: int, state: RunState) -> list[Line]:
        levels = _levels(state)
        values = [value for one in series for _, value in one.points]
        lowest = min([*values, *(value for _, value in levels)])
        scale = Scale(max(0.0, lowest - 0.05), 1.0)
        return plot(series, width, height, scale=scale, plain=self.glyphs.plain, levels=levels)


def _levels(state: RunState) -> list[tuple[str, float]]:
    """Guessing blindly, and always the most frequent class where that is more."""
    session = state.session
    if session is None or not session.classes:
        return []
    chance = 1 / len(session.classes)
    majority = session.majority / session.val_images if session.val_images else chance
    if majority - chance < 0.005:
        return [("chance", chance)]
    return [("majority", majority), ("chance", chance)]
