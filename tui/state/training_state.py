"""How the run trains, as the events so far have made it: recipe, rates, schedule, plan, progress.

A part of `RunState`, which hands every event on to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tl_tui.protocol.config import Recipe
from tl_tui.protocol.events import AnyEvent, Confirmed, Refused
from tl_tui.protocol.layers import RowInfo
from tl_tui.protocol.session import (
    Cycle,
    CycleBegan,
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
from tl_tui.settings.plan import end_of_cycle_and_plan
from tl_tui.settings.recipe import base_rates


class TrainingState:
    """Recipe, rates, schedule, plan and progress; None until the session is open."""

    def __init__(self) -> None:
        self.recipe: Recipe | None = None
        self._rates: tuple[float, ...] = ()
        self._wished_rates: dict[int, dict[int, float]] = {}
        """By command: base rates wished for by row, until the engine has answered."""
        self._rows: tuple[RowInfo, ...] = ()
        self._by_recipe: tuple[float, ...] = ()
        self.batches_per_epoch = 1
        self.cycle: Cycle | None = None
        self.plan: Plan | None = None
        self.plan_interrupted = False
        """There is no plan any more because the mask was changed by hand."""
        self.train_to: int | None = None
        """The step at which training is to end; None while it does not run."""
        self.seconds_left: float | None = None
        self.checkpoints: dict[str, CheckpointSaved] = {}
        """The last of each name: best, last, start-N; it may have failed."""
        self.saved: dict[str, CheckpointSaved] = {}
        """The last of each name that was written; it is there, whole."""
        self.features: FeatureCacheReported | None = None
        """How the steps of the run stand to the feature cache; None before the first."""
        self.weights = ""
        """The label of the weights that this start began from."""

    def apply(self, event: AnyEvent) -> None:
        """Take one event in."""
        match event:
            case SessionOpened():
                self._rows = event.stack.rows
                self._wished_rates.clear()
                self._take(event.recipe, event.rates)
                self.batches_per_epoch = event.batches_per_epoch
                self.cycle, self.plan = event.cycle, event.plan
                self.plan_interrupted = False
                self.train_to = self.seconds_left = None
                self.weights = event.weights
                self.checkpoints, self.saved = {}, {}
                self.features = None
            case FeatureCacheReported():
                self.features = event
            case RecipeChanged():
                self._take(event.recipe, event.rates)
            case Confirmed(id=answered) if answered in self._wished_rates:
                # The engine's word may follow; until then what it confirmed holds.
                wish = self._wished_rates.pop(answered)
                self._rates = tuple(wish.get(row, rate) for row, rate in enumerate(self._rates))
            case Refused(id=answered):
                self._wished_rates.pop(answered, None)
            case CycleBegan():
                self.cycle = event.cycle
            case PlanChanged():
                self.plan, self.plan_interrupted = event.plan, event.interrupted
            case StartedOver() | StartOverUndone():
                self.cycle, self.weights = event.cycle, event.weights
            case TrainBegan():
                self.train_to = event.to_step
            case TrainEnded():
                self.train_to = self.seconds_left = None
            case StepTaken():
                self.seconds_left = event.seconds_left
            case CheckpointSaved():
                self.checkpoints[event.name] = event
                if not event.failure:
                    self.saved[event.name] = event

    def died(self) -> None:
        """The engine is gone."""
        self.train_to = self.seconds_left = None
        self._wished_rates.clear()

    def _take(self, recipe: Recipe, rates: tuple[float, ...]) -> None:
        self.recipe, self._rates = recipe, rates
        self._by_recipe = base_rates(recipe, self._rows)

    @property
    def goes_on_from(self) -> CheckpointSaved | None:
        """The checkpoint that a run goes on from whose engine has died; None if it has none."""
        return self.saved.get("last") or self.saved.get("best")

    # --- rates ----------------------------------------------------------------------------------

    @property
    def rates(self) -> tuple[float, ...]:
        """Base rate of each row, as wished for; the schedule multiplies it."""
        if not self._wished_rates:
            return self._rates
        wished = {row: rate for wish in self._wished_rates.values() for row, rate in wish.items()}
        return tuple(wished.get(row, rate) for row, rate in enumerate(self._rates))

    def wish_rate(self, command_id: int, rows: Sequence[int], rate: float) -> None:
        """A base rate was asked for under this id; it shows at once, and goes if it is refused."""
        self._wished_rates[command_id] = dict.fromkeys(rows, rate)

    def recipe_rate(self, row: int) -> float:
        """The base rate that the recipe gives a row."""
        return self._by_recipe[row]

    def by_hand(self, row: int) -> bool:
        """A row's rate is not the one that the recipe gives it."""
        return not math.isclose(self.rates[row], self._by_recipe[row], rel_tol=1e-6)

    # --- the schedule ---------------------------------------------------------------------------

    def factor(self, step: int) -> float:
        """What the schedule multiplies every base rate with at the step after `step`."""
        if self.recipe is None or self.cycle is None:
            return 1.0
        recipe, cycle = self.recipe, self.cycle
        done = step - cycle.after_step
        return schedule.lr_factor(recipe.schedule, done, cycle.steps, recipe.warmup)

    def over(self, step: int) -> bool:
        """The end of schedule or plan is reached after `step`: the rate is at its floor now."""
        return self.cycle is not None and step >= self.horizon

    def phase(self, step: int) -> PlanPhase | None:
        """The phase of the plan in which the step after `step` is; None without a plan."""
        begun = [p for p in (self.plan.phases if self.plan else ()) if p.after_step <= step]
        return begun[-1] if begun else None

    def thaws_in_epoch(self, owners: range, step: int) -> int | None:
        """The epoch in which the plan begins to train the first of these owners; None if never.

        Epochs are counted as everywhere on the screen, from the start. Only phases that are still
        to come after `step` count.
        """
        for phase in self.plan.phases if self.plan else ():
            if phase.after_step > step and any(owner in phase.trainable for owner in owners):
                return self.epoch_of(phase.after_step)
        return None

    def next_phase(self, step: int) -> PlanPhase | None:
        """The phase of the plan that comes after the one the next step is in."""
        coming = [p for p in (self.plan.phases if self.plan else ()) if p.after_step > step]
        return coming[0] if coming else None

    # --- progress -------------------------------------------------------------------------------

    def epoch_of(self, step: int) -> int:
        """The epoch of this start, from 1, in which the step after `step` is."""
        return step // self.batches_per_epoch + 1

    @property
    def horizon(self) -> int:
        """The step at which plan or schedule come to their end, counted in this start."""
        return end_of_cycle_and_plan(self.cycle, self.plan) if self.cycle else 0
