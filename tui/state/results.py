"""Results other than training steps: validations, images, step costs and tests."""

from __future__ import annotations

from collections import deque

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
from tl_tui.protocol.session import (
    LayerRestored,
    RecipeChanged,
    SessionOpened,
    StartedOver,
    StartOverUndone,
)
from tl_tui.protocol.training import StepTaken, Validated

TIMED_STEPS = 9
"""The number of steps whose duration is compared with the predicted one."""


class Results:
    """The last result of each kind, or None. `RunState` passes every event to it."""

    def __init__(self) -> None:
        self.validated: Validated | None = None
        """The last evaluation of the whole validation set."""
        self.best: Validated | None = None
        self.results: ResultsShown | None = None
        self.images: ImagesShown | None = None
        self.range_test: LrRangeTested | None = None
        self.step_cost: StepCostMeasured | None = None
        self.predicted_costs: dict[frozenset[int], StepCostPrediction] = {}
        """Cached predictions by mask; emptied when the step cost is measured again."""
        self.step_times: deque[tuple[frozenset[int], float]] = deque(maxlen=TIMED_STEPS)
        """(mask, seconds) of the last steps that executed every layer, for the same recipe."""
        self.moved: WeightDriftMeasured | None = None
        self.folds: list[FoldValidated] = []
        self.fold: FoldProgressed | None = None
        """The progress of a running cross-validation; None while none runs."""
        self.folds_ended: CrossValidationEnded | None = None

    def apply(self, event: AnyEvent) -> None:
        """Update from one event."""
        match event:
            case SessionOpened():
                self.__init__()  # type: ignore[misc]
            case StepTaken(cached_rows=0, captured=False):
                self.step_times.append((frozenset(event.mask), event.seconds))
            case RecipeChanged():
                self.step_times.clear()
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
                self.step_cost = event
                self.predicted_costs.clear()
            case WeightDriftMeasured():
                self.moved = event
            case StartedOver() | StartOverUndone():
                self.moved = self.images = None
            case LayerRestored():
                self.moved = None  # it is measured again
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
