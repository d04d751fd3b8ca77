"""How the run trains, as the events so far have made it: recipe, rates, schedule, plan, progress.

A part of `RunState`, which hands every event on to it.
"""

from __future__ import annotations

from engine import schedule
from engine.protocol import (
    AnyEvent,
    CheckpointSaved,
    Cycle,
    CycleBegan,
    Plan,
    PlanChanged,
    PlanPhase,
    Recipe,
    RecipeChanged,
    SessionOpened,
    StartedOver,
    StartOverUndone,
    StepTaken,
    TrainBegan,
    TrainEnded,
)


class TrainingState:
    """Recipe, rates, schedule, plan and progress; None until the session is open."""

    def __init__(self) -> None:
        self.recipe: Recipe | None = None
        self.rates: tuple[float, ...] = ()
        """Base rate of each row."""
        self.batches_per_epoch = 1
        self.cycle: Cycle | None = None
        self.cycle_why = ""
        self.plan: Plan | None = None
        self.plan_why = ""
        """Why there is no plan any more, such as `interrupted by hand`."""
        self.train_to: int | None = None
        """The step at which training is to end; None while it does not run."""
        self.seconds_left: float | None = None
        self.checkpoints: dict[str, CheckpointSaved] = {}
        """The last of each name: best, last, start-N."""
        self.weights = ""
        """The label of the weights that this start began from."""

    def apply(self, event: AnyEvent) -> None:
        """Take one event in."""
        match event:
            case SessionOpened():
                self.recipe, self.rates = event.recipe, event.rates
                self.batches_per_epoch = event.batches_per_epoch
                self.cycle, self.plan = event.cycle, event.plan
                self.cycle_why = self.plan_why = ""
                self.train_to = self.seconds_left = None
                self.weights = event.weights
            case RecipeChanged():
                self.recipe, self.rates = event.recipe, event.rates
            case CycleBegan():
                self.cycle, self.cycle_why = event.cycle, event.why
            case PlanChanged():
                self.plan, self.plan_why = event.plan, event.why
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

    def died(self) -> None:
        """The engine is gone."""
        self.train_to = self.seconds_left = None

    def factor(self, step: int) -> float:
        """What the schedule multiplies every base rate with at the step after `step`."""
        if self.recipe is None or self.cycle is None:
            return 1.0
        recipe, cycle = self.recipe, self.cycle
        done = step - cycle.after_step
        return schedule.factor(recipe.schedule, done, cycle.steps, recipe.warmup)

    def over(self, step: int) -> bool:
        """The schedule's horizon is reached after `step`: the rate is at its floor from here on."""
        return self.cycle is not None and step >= self.cycle.after_step + self.cycle.steps

    def phase(self, step: int) -> PlanPhase | None:
        """The phase of the plan in which the step after `step` is; None without a plan."""
        begun = [p for p in (self.plan.phases if self.plan else ()) if p.after_step <= step]
        return begun[-1] if begun else None

    def thaws_in_epoch(self, owners: range, step: int) -> int | None:
        """The plan's epoch in which the first of these owners begins to train; None if none does.

        Only phases that are still to come after `step` count.
        """
        for phase in self.plan.phases if self.plan else ():
            if phase.after_step > step and any(owner in phase.trainable for owner in owners):
                return phase.epoch
        return None
