"""The progress of a session: its step, mask, schedule and plan, and where training ends."""

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
WeightsVersion = tuple[int, int, int]
"""Identifies a state of the weights: (start, step, restore id)."""


class Progress:
    """The progress of one session through all its starts."""

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
            strategies: The trainable owners of each strategy, by its name.
            recipe: The recipe to begin with.
            batches_per_epoch: The number of steps per epoch.
            horizon: The length of the schedule in steps; None takes it from the recipe's epochs.
        """
        self.start = 0
        """The number of times the session was started over."""
        self.step = 0
        """The number of steps taken since the current start."""
        self.total_steps = 0
        """The number of steps taken over all starts; at least 1 after a resume."""
        self.first_loss: float | None = None
        """The loss of the first step of this start; None if it is not known."""
        self.restore_id = 0
        """A number that changes whenever weights change other than by a step."""
        self._restore_ids = itertools.count(1)
        self.wanted: Mask = wanted
        """The trainable owners of the next step."""
        self.strategies = strategies
        self.recipe = recipe
        self.batches_per_epoch = batches_per_epoch
        self.left_in_epoch = batches_per_epoch
        """The number of steps until the current epoch ends; a whole epoch between two epochs."""
        self._horizon = horizon
        self.plan: Plan | None = None
        self.cycle = Cycle(after_step=0, steps=self.horizon)
        self.train_to: int | None = None
        """The step at which training ends; None while it is not running."""
        self._until_end = False
        """Whether training ends with the schedule, even if the schedule's end is moved."""
        self._by_epochs = False
        """Whether training ends after a number of epochs, not of steps."""
        self._pace = _Pace()

    @property
    def weights_version(self) -> WeightsVersion:
        """The version of the current weights; no two different states share one."""
        return self.start, self.step, self.restore_id

    def mark_restored(self) -> None:
        """Record that weights changed other than by a step."""
        self.restore_id = next(self._restore_ids)

    @property
    def horizon(self) -> int:
        """The length of the schedule in steps."""
        return self._horizon or self.recipe.epochs * self.batches_per_epoch

    @property
    def end(self) -> int:
        """The last step of the plan or, without a plan, of the cycle."""
        if self.plan:
            return plans.end_of_plan(self.plan)
        return plans.end_of_cycle(self.cycle)

    @property
    def lr_factor(self) -> float:
        """The schedule's factor on the base rates in the next step."""
        recipe, cycle = self.recipe, self.cycle
        done = self.step - cycle.after_step
        return schedule.lr_factor(recipe.schedule, done, cycle.steps, recipe.warmup)

    def strategy_of(self, mask: Mask) -> str | None:
        """Return the name of the strategy with this mask; None if there is none."""
        named = self.strategies.items()
        return next((name for name, owners in named if frozenset(owners) == mask), None)

    # --- the schedule ---------------------------------------------------------------------------

    def set_recipe(self, recipe: Recipe) -> bool:
        """Change the recipe.

        Returns:
            Whether the end of the cycle moved because the number of epochs changed.
        """
        moved = recipe.epochs != self.recipe.epochs
        self.recipe = recipe
        if moved and self.plan is None:
            self._horizon = None
            self.cycle = msgspec.structs.replace(self.cycle, steps=self.horizon)
            self._move_training_end()
        return moved

    def begin_cycle(self, steps: int | None = None) -> Cycle:
        """Begin a new cycle of the schedule with the next step.

        Args:
            steps: Its length; if None, the horizon.
        """
        self.cycle = Cycle(after_step=self.step, steps=steps or self.horizon)
        self._move_training_end()
        return self.cycle

    def end_cycle_at(self, step: int) -> None:
        """Move the end of the cycle to a step that has not been taken yet."""
        self.cycle = msgspec.structs.replace(self.cycle, steps=step - self.cycle.after_step)

    def extend_cycle_to(self, step: int) -> bool:
        """Move the end of the cycle to a later step.

        Returns:
            False if the step is no later than the current end, which then stays.
        """
        if step <= plans.end_of_cycle(self.cycle):
            return False
        self.cycle = msgspec.structs.replace(self.cycle, steps=step - self.cycle.after_step)
        self._move_training_end()
        return True

    def resize_epochs(self, left: int, per_epoch: int) -> bool:
        """Move everything that is planned in epochs, because epochs have another number of steps.

        Args:
            left: The number of steps until the current epoch ends; 0 if it has ended early.
            per_epoch: The number of steps in later epochs.

        Returns:
            False if the numbers are those that were known.
        """
        before = self.left_in_epoch, self.batches_per_epoch
        if (left, per_epoch) == before:
            return False

        def moved(step: int) -> int:
            to_go = step - self.step
            if to_go <= 0:
                return step
            if to_go < before[0]:
                return self.step + min(to_go, left)
            epochs, rest = divmod(to_go - before[0], before[1])
            return self.step + left + epochs * per_epoch + min(rest, per_epoch)

        if self.plan is not None:
            self.plan = plans.move_phases(self.plan, moved)
        if self.plan is not None or self._horizon is None:
            end = moved(plans.end_of_cycle(self.cycle))
            self.cycle = msgspec.structs.replace(self.cycle, steps=end - self.cycle.after_step)
        if self.train_to is not None and self._by_epochs:
            self.train_to = moved(self.train_to)
        self.left_in_epoch, self.batches_per_epoch = left or per_epoch, per_epoch
        return True

    # --- plans ----------------------------------------------------------------------------------

    def follow(self, plan: Plan | None) -> None:
        """Follow a plan; None follows none."""
        self.plan = plan
        self._move_training_end()

    def phase_to_begin(self) -> PlanPhase | None:
        """Return the phase of the plan that begins with the next step; None if none does."""
        if self.plan is None:
            return None
        phase = plans.phase_at(self.plan, self.step)
        return phase if phase.after_step == self.step else None

    # --- training -------------------------------------------------------------------------------

    def train(self, to_step: int | None) -> int:
        """Begin training.

        Args:
            to_step: The step at which to end. None is the end of the schedule; past that, another
                horizon from the current step.

        Returns:
            The step at which training will end.
        """
        self._until_end = to_step is None and self.step < self.end
        self._by_epochs = to_step is None and (self.plan is not None or self._horizon is None)
        if to_step is None:
            to_step = self.end if self.step < self.end else self.step + self.horizon
        self.train_to = to_step
        self._pace.begin()
        return to_step

    def stop(self) -> None:
        """End training."""
        self.train_to = None
        self._until_end = False

    def took_step(self) -> None:
        """Count a step that was taken."""
        self.step += 1
        self.total_steps += 1
        self.left_in_epoch = self.left_in_epoch - 1 or self.batches_per_epoch
        self._pace.count_step()

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until training ends, including validations; None if unknown."""
        if self.train_to is None:
            return None
        return self._pace.seconds_for(self.train_to - self.step)

    def _move_training_end(self) -> None:
        if self._until_end and self.train_to is not None:
            self.train_to = max(self.end, self.step)


class _Pace:
    """The average wall-clock time per step, including the work between steps."""

    def __init__(self) -> None:
        self._began = 0.0
        self._steps = 0

    def begin(self) -> None:
        self._began, self._steps = time.monotonic(), 0

    def count_step(self) -> None:
        self._steps += 1

    def seconds_for(self, steps: int) -> float | None:
        """Estimate the seconds for a number of steps; None before the second step."""
        if self._steps < 2:
            return None
        return steps * (time.monotonic() - self._began) / self._steps
