"""The training settings and progress: recipe, rates, schedule, plan and checkpoints."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tl_tui.protocol.config import Recipe
from tl_tui.protocol.events import AnyEvent, Confirmed, Refused
from tl_tui.protocol.layers import RowInfo
from tl_tui.protocol.session import (
    Cycle,
    CycleBegan,
    EpochResized,
    Plan,
    PlanChanged,
    PlanPhase,
    RecipeChanged,
    SessionOpened,
    StartedOver,
    StartOverUndone,
)
from tl_tui.protocol.training import (
    CheckpointSaved,
    FeatureCacheReported,
    StepTaken,
    TrainBegan,
    TrainEnded,
)
from tl_tui.settings import schedule
from tl_tui.settings.recipe import base_rates


class TrainingState:
    """Recipe, rates, schedule, plan and progress, reduced from the events.

    `RunState` passes every event to it. Values are None until the session is open.
    """

    def __init__(self) -> None:
        self.recipe: Recipe | None = None
        self._rates: tuple[float, ...] = ()
        self._requested_rates: dict[int, dict[int, float]] = {}
        """Requested base rates that are not yet answered: {command id: {row: rate}}."""
        self._rows: tuple[RowInfo, ...] = ()
        self._by_recipe: tuple[float, ...] = ()
        self.batches_per_epoch = 1
        self.epoch_shift = 0
        """As in `SessionOpened`."""
        self.cycle: Cycle | None = None
        self.plan: Plan | None = None
        self.plan_interrupted = False
        """Whether the plan ended because the user changed the mask."""
        self.train_to: int | None = None
        """The step at which training will end; None while it does not run."""
        self.seconds_left: float | None = None
        self.checkpoints: dict[str, CheckpointSaved] = {}
        """The last attempt to save each checkpoint (best, last, start-N); it may have failed."""
        self.saved: dict[str, CheckpointSaved] = {}
        """The last checkpoint of each name that was saved successfully."""
        self.features: FeatureCacheReported | None = None
        """The last report about the feature cache; None before the first step."""
        self.weights = ""
        """The label of the weights that this start used."""

    def apply(self, event: AnyEvent) -> None:
        """Update from one event."""
        match event:
            case SessionOpened():
                self._rows = event.stack.rows
                self._requested_rates.clear()
                self._set_recipe(event.recipe, event.rates)
                self.batches_per_epoch = event.batches_per_epoch
                self.epoch_shift = event.epoch_shift
                self.cycle, self.plan = event.cycle, event.plan
                self.plan_interrupted = False
                self.train_to = self.seconds_left = None
                self.weights = event.weights
                self.checkpoints, self.saved = {}, {}
                self.features = None
            case FeatureCacheReported():
                self.features = event
            case RecipeChanged():
                self._set_recipe(event.recipe, event.rates)
            case Confirmed(id=answered) if answered in self._requested_rates:
                # A RecipeChanged with all rates may follow; the confirmed rates apply until then.
                requested = self._requested_rates.pop(answered)
                self._rates = tuple(
                    requested.get(row, rate) for row, rate in enumerate(self._rates)
                )
            case Refused(id=answered):
                self._requested_rates.pop(answered, None)
            case CycleBegan():
                self.cycle = event.cycle
            case EpochResized():
                self.batches_per_epoch = event.batches_per_epoch
                self.epoch_shift = event.epoch_shift
                self.cycle, self.plan = event.cycle, event.plan
                if self.train_to is not None and event.to_step is not None:
                    self.train_to = event.to_step
            case PlanChanged():
                self.plan, self.plan_interrupted = event.plan, event.interrupted
            case StartedOver() | StartOverUndone():
                self.cycle, self.weights = event.cycle, event.weights
                self.epoch_shift = event.epoch_shift if isinstance(event, StartOverUndone) else 0
            case TrainBegan():
                self.train_to, self.seconds_left = event.to_step, None
            case TrainEnded():
                self.train_to = self.seconds_left = None
            case StepTaken():
                self.seconds_left = event.seconds_left
            case CheckpointSaved():
                self.checkpoints[event.name] = event
                if not event.failure:
                    self.saved[event.name] = event

    def died(self) -> None:
        """Forget what was running and requested: the engine is gone."""
        self.train_to = self.seconds_left = None
        self._requested_rates.clear()

    def _set_recipe(self, recipe: Recipe, rates: tuple[float, ...]) -> None:
        self.recipe, self._rates = recipe, rates
        self._by_recipe = base_rates(recipe, self._rows)

    @property
    def resume_checkpoint(self) -> CheckpointSaved | None:
        """The checkpoint from which the run resumes after the engine died; None without one."""
        return self.saved.get("last") or self.saved.get("best")

    # --- rates ----------------------------------------------------------------------------------

    @property
    def rates(self) -> tuple[float, ...]:
        """The base rate of each row, with requested changes; the schedule multiplies it."""
        if not self._requested_rates:
            return self._rates
        requested: dict[int, float] = {}
        for rates in self._requested_rates.values():
            requested.update(rates)
        return tuple(requested.get(row, rate) for row, rate in enumerate(self._rates))

    def request_rate(self, command_id: int, rows: Sequence[int], rate: float) -> None:
        """Note a base rate that was requested under this id.

        `rates` contains it at once; it is dropped if the engine refuses the command.
        """
        self._requested_rates[command_id] = dict.fromkeys(rows, rate)

    def recipe_rate(self, row: int) -> float:
        """Return the base rate that the recipe gives to a row."""
        return self._by_recipe[row]

    def by_hand(self, row: int) -> bool:
        """Return whether a row's rate was set by hand and differs from the recipe's."""
        return not math.isclose(self.rates[row], self._by_recipe[row], rel_tol=1e-6)

    # --- the schedule ---------------------------------------------------------------------------

    def factor(self, step: int) -> float:
        """Return the schedule's factor for every base rate at the step after `step`."""
        if self.recipe is None or self.cycle is None:
            return 1.0
        recipe, cycle = self.recipe, self.cycle
        done = step - cycle.after_step
        return schedule.lr_factor(recipe.schedule, done, cycle.steps, recipe.warmup)

    def over(self, step: int) -> bool:
        """Return whether schedule and plan have ended after `step`, with the rate at its floor."""
        return self.cycle is not None and step >= self.horizon

    def phase(self, step: int) -> PlanPhase | None:
        """Return the plan's phase for the step after `step`; None without a plan."""
        begun = [p for p in (self.plan.phases if self.plan else ()) if p.after_step <= step]
        return begun[-1] if begun else None

    def thaws_in_epoch(self, owners: range, step: int) -> int | None:
        """Return the epoch in which the plan first trains any of these owners; None if never.

        Epochs are counted from the start. Only phases that begin after `step` count.
        """
        for phase in self.plan.phases if self.plan else ():
            if phase.after_step > step and any(owner in phase.trainable for owner in owners):
                return self.epoch_of(phase.after_step)
        return None

    def next_phase(self, step: int) -> PlanPhase | None:
        """Return the plan's first phase that begins after `step`; None if there is none."""
        coming = [p for p in (self.plan.phases if self.plan else ()) if p.after_step > step]
        return coming[0] if coming else None

    # --- progress -------------------------------------------------------------------------------

    def epoch_of(self, step: int) -> int:
        """Return the epoch of this start, from 1, that contains the step after `step`."""
        return (step + self.epoch_shift) // self.batches_per_epoch + 1

    def epochs_until(self, step: int) -> int:
        """Return the number of epochs of this start, begun ones included, that end with `step`."""
        return math.ceil((step + self.epoch_shift) / self.batches_per_epoch)

    def ends_epoch(self, step: int) -> bool:
        """Return whether an epoch ends with a step."""
        return (step + self.epoch_shift) % self.batches_per_epoch == 0

    @property
    def horizon(self) -> int:
        """The step of this start at which plan and schedule have ended."""
        end = self.cycle.after_step + self.cycle.steps if self.cycle else 0
        return max(
            [end, *(p.after_step + p.steps for p in (self.plan.phases if self.plan else ()))]
        )
