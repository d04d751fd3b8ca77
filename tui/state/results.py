"""What was found out beside the steps: results, pictures, prices, tests.

A part of `RunState`, which hands every event on to it.
"""

from __future__ import annotations

from tl_tui.estimates.cost_model import StepCostPrediction
from tl_tui.protocol.checks import (
    CrossValidationEnded,
    FoldProgressed,
    FoldValidated,
    LrRangeTested,
    StepCostMeasured,
    WeightDriftMeasured,
)
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.results import ImagesShown, ResultsShown
from tl_tui.protocol.session import SessionOpened, StartedOver, StartOverUndone
from tl_tui.protocol.training import Validated


class Results:
    """The last of each kind; None until there is one."""

    def __init__(self) -> None:
        self.validated: Validated | None = None
        """The last evaluation of the whole validation set."""
        self.best: Validated | None = None
        self.results: ResultsShown | None = None
        self.images: ImagesShown | None = None
        self.range_test: LrRangeTested | None = None
        self.price: StepCostMeasured | None = None
        self.predicted_prices: dict[frozenset[int], StepCostPrediction] = {}
        """By mask, as far as they were asked for since the price was measured."""
        self.moved: WeightDriftMeasured | None = None
        self.folds: list[FoldValidated] = []
        self.fold: FoldProgressed | None = None
        """Where a cross-validation stands; None while none runs."""
        self.folds_ended: CrossValidationEnded | None = None

    def apply(self, event: AnyEvent) -> None:
        """Take one event in."""
        match event:
            case SessionOpened():
                self.__init__()  # type: ignore[misc]
            case Validated(yardstick=False):
                self.validated = event
                if event.best:
                    self.best = event
            case ResultsShown():
                self.results = event
            case ImagesShown():
                self.images = event
            case LrRangeTested():
                self.range_test = event
            case StepCostMeasured():
                self.price = event
                self.predicted_prices.clear()
            case WeightDriftMeasured():
                self.moved = event
            case StartedOver() | StartOverUndone():
                self.moved = None
            case FoldProgressed():
                if self.fold is None:
                    self.folds, self.folds_ended = [], None
                self.fold = event
            case FoldValidated():
                if event.fold == 1:
                    self.folds, self.folds_ended = [], None
                self.folds.append(event)
            case CrossValidationEnded():
                self.folds_ended, self.fold = event, None
