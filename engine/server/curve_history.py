"""The curves of a session so far, in bounded memory, for clients that connect later."""

from __future__ import annotations

from typing import Generic, TypeVar

from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import (
    HistorySent,
    PlanChanged,
    SessionOpened,
    StartCurves,
    StartedOver,
    StartOverUndone,
)
from tl_tui.protocol.training import StepTaken, Validated

MAX_POINTS = 4096
"""Points kept per curve, more than a screen can draw. Above this, every second one is dropped."""

P = TypeVar("P", bound=tuple)


class _Points(Generic[P]):
    """The points of one curve in order of steps: every n-th point, and always the latest."""

    def __init__(self, points: tuple[P, ...] = ()) -> None:
        self._kept = list(points)
        self._latest: P | None = self._kept[-1] if self._kept else None
        self._every, self._since_kept = 1, 0

    def add(self, point: P) -> None:
        self._latest, self._since_kept = point, self._since_kept + 1
        if self._since_kept >= self._every:
            self._kept.append(point)
            self._since_kept = 0
        if len(self._kept) > MAX_POINTS:
            self._kept = self._kept[::2]
            self._every *= 2

    def points(self) -> tuple[P, ...]:
        if self._latest is None or self._kept[-1:] == [self._latest]:
            return tuple(self._kept)
        return (*self._kept, self._latest)


class _Start:
    """The curves of one start of the run."""

    def __init__(self, curves: StartCurves) -> None:
        self.start, self.weights, self.plan = curves.start, curves.weights, curves.plan
        self.losses = _Points(curves.losses)
        self.validations = _Points(curves.validations)
        self.yardstick = _Points(curves.yardstick)
        self.strategies: list[str | None] = list(curves.strategies)
        if curves.losses and not curves.strategies:
            self.strategies = [None]

    def curves(self) -> StartCurves:
        return StartCurves(
            start=self.start,
            weights=self.weights,
            losses=self.losses.points(),
            validations=self.validations.points(),
            yardstick=self.yardstick.points(),
            strategies=tuple(self.strategies),
            plan=self.plan,
        )


class CurveHistory:
    """The curves of every start of a session, collected from the events that were sent."""

    def __init__(self) -> None:
        self._starts: list[_Start] = []
        self._strategies: dict[frozenset[int], str] = {}
        """The name of each strategy by its mask."""
        self._plan = ""

    def event(self) -> HistorySent | None:
        """Return the curves of every start; None before the first step."""
        starts = tuple(start.curves() for start in self._starts)
        return HistorySent(starts=starts) if any(start.losses for start in starts) else None

    def record(self, event: AnyEvent) -> None:
        """Update the curves with an event that was sent to the clients."""
        match event:
            case SessionOpened():
                self._starts = [_new_start(event.start, event.weights)]
                named = event.strategies.items()
                self._strategies = {frozenset(mask): name for name, mask in named}
                self._plan = event.plan.name if event.plan else ""
            case HistorySent():
                self._starts = [_Start(curves) for curves in event.starts] or self._starts
            case PlanChanged():
                self._plan = event.plan.name if event.plan else ""
            case StepTaken() if self._starts:
                self._record_step(self._starts[-1], event)
            case Validated() if self._starts and event.total:
                numbers = (event.step, event.correct, event.total)
                if event.yardstick:
                    self._starts[-1].yardstick.add(numbers)
                else:
                    self._starts[-1].validations.add((*numbers, event.loss))
            case StartedOver() if self._starts:
                if not self._starts[-1].losses.points():
                    self._starts.pop()  # it took no step
                self._starts.append(_new_start(event.start, event.weights))
            case StartOverUndone() if self._starts:
                if len(self._starts) > 1 and self._starts[-1].start != event.start:
                    self._starts.pop()

    def _record_step(self, start: _Start, event: StepTaken) -> None:
        start.losses.add((event.step, event.loss))
        strategy = self._strategies.get(frozenset(event.mask))
        if strategy not in start.strategies:
            start.strategies.append(strategy)
        start.plan = self._plan


def _new_start(start: int, weights: str) -> _Start:
    return _Start(StartCurves(start=start, weights=weights, losses=(), validations=()))
