"""The curves of a session so far, in bounded memory: what a screen that comes back is shown."""

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

MOST_POINTS = 4096
"""Of a curve; more than any screen has columns of dots. Beyond, every second point is kept."""

P = TypeVar("P", bound=tuple)


class _Points(Generic[P]):
    """Points of growing steps: every n-th of them, and always the last."""

    def __init__(self, points: tuple[P, ...] = ()) -> None:
        self._kept = list(points)
        self._last: P | None = self._kept[-1] if self._kept else None
        self._every, self._since = 1, 0

    def add(self, point: P) -> None:
        self._last, self._since = point, self._since + 1
        if self._since >= self._every:
            self._kept.append(point)
            self._since = 0
        if len(self._kept) > MOST_POINTS:
            self._kept = self._kept[::2]
            self._every *= 2

    def told(self) -> tuple[P, ...]:
        tail = self._last is not None and self._kept[-1:] != [self._last]
        return (*self._kept, self._last) if tail and self._last is not None else tuple(self._kept)


class _Start:
    def __init__(self, told: StartCurves) -> None:
        self.start, self.weights, self.plan = told.start, told.weights, told.plan
        self.losses = _Points(told.losses)
        self.validations = _Points(told.validations)
        self.yardstick = _Points(told.yardstick)
        self.strategies: list[str | None] = list(told.strategies)
        if told.losses and not told.strategies:
            self.strategies = [None]

    def told(self) -> StartCurves:
        return StartCurves(
            start=self.start,
            weights=self.weights,
            losses=self.losses.told(),
            validations=self.validations.told(),
            yardstick=self.yardstick.told(),
            strategies=tuple(self.strategies),
            plan=self.plan,
        )


class CurveHistory:
    """Kept from the events that went out."""

    def __init__(self) -> None:
        self._starts: list[_Start] = []
        self._strategies: dict[frozenset[int], str] = {}
        self._plan = ""

    def told(self) -> HistorySent | None:
        """The curves of every start; None before the first step."""
        starts = tuple(one.told() for one in self._starts)
        return HistorySent(starts=starts) if any(one.losses for one in starts) else None

    def note(self, event: AnyEvent) -> None:
        """An event went out."""
        match event:
            case SessionOpened():
                self._starts = [_begun(event.start, event.weights)]
                named = event.strategies.items()
                self._strategies = {frozenset(mask): name for name, mask in named}
                self._plan = event.plan.name if event.plan else ""
            case HistorySent():
                self._starts = [_Start(one) for one in event.starts] or self._starts
            case PlanChanged():
                self._plan = event.plan.name if event.plan else ""
            case StepTaken() if self._starts:
                self._stepped(self._starts[-1], event)
            case Validated() if self._starts and event.total:
                numbers = (event.step, event.correct, event.total)
                if event.yardstick:
                    self._starts[-1].yardstick.add(numbers)
                else:
                    self._starts[-1].validations.add((*numbers, event.loss))
            case StartedOver() if self._starts:
                if not self._starts[-1].losses.told():
                    self._starts.pop()  # nothing came of it
                self._starts.append(_begun(event.start, event.weights))
            case StartOverUndone() if self._starts:
                if len(self._starts) > 1 and self._starts[-1].start != event.start:
                    self._starts.pop()

    def _stepped(self, start: _Start, event: StepTaken) -> None:
        start.losses.add((event.step, event.loss))
        strategy = self._strategies.get(frozenset(event.mask))
        if strategy not in start.strategies:
            start.strategies.append(strategy)
        start.plan = self._plan


def _begun(start: int, weights: str) -> _Start:
    return _Start(StartCurves(start=start, weights=weights, losses=(), validations=()))
