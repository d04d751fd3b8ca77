"""Where a run stands and where it goes: step, mask, schedule, plan, and the end that was asked for.

Only bookkeeping; imports no torch.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping

import msgspec

from tl_tui.protocol.config import Recipe
from tl_tui.protocol.session import Cycle, Plan, PlanPhase
from tl_tui.settings import plan as plans
from tl_tui.settings import schedule

Mask = frozenset[int]


class Progress:
    """The course of one session, through all its starts."""

    def __init__(
        self,
        *,
        wanted: Mask,
        strategies: Mapping[str, tuple[int, ...]],
        recipe: Recipe,
        batches_per_epoch: int,
        horizon: int | None,
    ) -> None:
        """
        Args:
            wanted: The mask to begin with.
            strategies: Trainable owners of each, by name.
            recipe: How it trains.
            batches_per_epoch: Steps an epoch has.
            horizon: Of the schedule in steps; None is the recipe's epochs.
        """
        self.start = 0
        self.step = 0
        """Of this start."""
        self.steps_ever = 0
        self.put_back = 0
        """Names the last time that weights were put back otherwise than by a step."""
        self._puts_back = itertools.count(1)
        self.wanted: Mask = wanted
        self.strategies = strategies
        self.recipe = recipe
        self.batches_per_epoch = batches_per_epoch
        self._horizon = horizon
        self.plan: Plan | None = None
        self.cycle = Cycle(after_step=0, steps=self.horizon)
        self.train_to: int | None = None
        """The step at which training is to end; None while it does not run."""
        self._to_the_end = False
        """What was asked for is the schedule's end, wherever that moves."""
        self._pace = _Pace()

    @property
    def here(self) -> tuple[int, int, int]:
        """Names the weights as they are: other ones have another name."""
        return self.start, self.step, self.put_back

    def puts_back(self) -> None:
        """Weights are put to another state, and not by a step."""
        self.put_back = next(self._puts_back)

    @property
    def horizon(self) -> int:
        """The schedule's length in steps."""
        return self._horizon or self.recipe.epochs * self.batches_per_epoch

    @property
    def end(self) -> int:
        """The last step of the cycle, or of the plan."""
        if self.plan:
            return plans.end_of_plan(self.plan)
        return plans.end_of_cycle(self.cycle)

    @property
    def lr_factor(self) -> float:
        """What the schedule multiplies every row's base rate with at the coming step."""
        recipe, cycle = self.recipe, self.cycle
        done = self.step - cycle.after_step
        return schedule.lr_factor(recipe.schedule, done, cycle.steps, recipe.warmup)

    def strategy_of(self, mask: Mask) -> str | None:
        """The strategy that has this mask."""
        named = self.strategies.items()
        return next((name for name, on in named if frozenset(on) == mask), None)

    # --- the schedule ---------------------------------------------------------------------------

    def set_recipe(self, recipe: Recipe) -> bool:
        """Another recipe; True if the cycle's horizon moved with its epochs."""
        moved = recipe.epochs != self.recipe.epochs
        self.recipe = recipe
        if moved and self.plan is None:
            self._horizon = None
            self.cycle = msgspec.structs.replace(self.cycle, steps=self.horizon)
            self._follow_the_end()
        return moved

    def begin_cycle(self, steps: int | None = None) -> Cycle:
        """The schedule begins anew with the coming step."""
        self.cycle = Cycle(after_step=self.step, steps=steps or self.horizon)
        self._follow_the_end()
        return self.cycle

    def end_at(self, step: int) -> None:
        """The cycle ends with a step, which is to come."""
        self.cycle = msgspec.structs.replace(self.cycle, steps=step - self.cycle.after_step)

    def reach_to(self, step: int) -> bool:
        """Move the cycle's horizon to a step; False if it is no later than it was."""
        if step <= plans.end_of_cycle(self.cycle):
            return False
        self.cycle = msgspec.structs.replace(self.cycle, steps=step - self.cycle.after_step)
        self._follow_the_end()
        return True

    # --- plans ----------------------------------------------------------------------------------

    def follow(self, plan: Plan | None) -> None:
        """Follow a plan, or none."""
        self.plan = plan
        self._follow_the_end()

    def phase_to_begin(self) -> PlanPhase | None:
        """The plan's phase that begins with the coming step, if one does."""
        if self.plan is None:
            return None
        phase = plans.phase_at(self.plan, self.step)
        return phase if phase.after_step == self.step else None

    # --- training -------------------------------------------------------------------------------

    def train(self, to_step: int | None) -> int:
        """Training is asked for: to a step, or to the end and, behind that, as long again.

        Returns:
            The step at which it will end.
        """
        self._to_the_end = to_step is None and self.step < self.end
        if to_step is None:
            to_step = self.end if self.step < self.end else self.step + self.horizon
        self.train_to = to_step
        self._pace.begin()
        return to_step

    def stop(self) -> None:
        """Training ends."""
        self.train_to = None
        self._to_the_end = False

    def took_step(self) -> None:
        """A step was taken."""
        self.step += 1
        self.steps_ever += 1
        self._pace.step()

    @property
    def seconds_left(self) -> float | None:
        """Until the end of training, from its pace so far, validations included."""
        if self.train_to is None:
            return None
        return self._pace.seconds_for(self.train_to - self.step)

    def _follow_the_end(self) -> None:
        if self._to_the_end and self.train_to is not None:
            self.train_to = max(self.end, self.step)


class _Pace:
    """Wall-clock seconds a step of training takes, with all that lies between two steps."""

    def __init__(self) -> None:
        self._began = 0.0
        self._steps = 0

    def begin(self) -> None:
        self._began, self._steps = time.monotonic(), 0

    def step(self) -> None:
        self._steps += 1

    def seconds_for(self, steps: int) -> float | None:
        """None before there is anything to judge from."""
        if self._steps < 2:
            return None
        return steps * (time.monotonic() - self._began) / self._steps
