"""What is wanted of the run: mask, BatchNorm modes, recipe, rates, schedule and plan.

Each change is journalled and told; the next step is the first that runs with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from engine.session.context import SessionContext
from engine.session.progress import Mask, Progress
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import SetMask, SetNormMode, SetRate
from tl_tui.protocol.config import PlanName, Recipe
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.layers import NormMode
from tl_tui.protocol.session import (
    Cycle,
    CycleBegan,
    MaskPlanned,
    NormModeChanged,
    Plan,
    PlanChanged,
    PlanPhase,
    RecipeChanged,
)
from tl_tui.runs.journal_writer import JournalWriter
from tl_tui.settings import plan as plans
from tl_tui.settings.recipe import LARGEST


@dataclass(frozen=True)
class _LeftPlan:
    plan: Plan
    cycle: Cycle
    wanted: Mask
    here: tuple[int, int, int]
    """`Progress.here` when it was left."""


class Settings:
    """Turns wishes into the state that the next step reads."""

    def __init__(
        self,
        context: SessionContext,
        progress: Progress,
        journal: JournalWriter,
        emit: Callable[[AnyEvent], None],
    ) -> None:
        self.context, self.progress, self.journal, self.emit = context, progress, journal, emit
        self.trainer = context.trainer
        self.norm_modes: dict[int, NormMode] = {}
        self.strategy: str | None = None
        """The strategy that the wanted mask was chosen as."""
        self._entered: PlanPhase | None = None
        """The plan's phase whose mask was taken last."""
        self._left: _LeftPlan | None = None
        """The plan that was interrupted by hand since the last step."""
        if context.event.plan is not None:
            progress.follow(context.event.plan)
            progress.begin_cycle(context.event.plan.phases[0].steps)
            self._entered = context.event.plan.phases[0]

    def resume(self, *, strategy: str | None, norm_modes: Mapping[int, NormMode]) -> None:
        """Stand where a run stood when it was saved; the course does so already."""
        self.strategy, self.norm_modes = strategy, dict(norm_modes)
        self._entered = self.progress.phase_to_begin()

    # --- the mask -------------------------------------------------------------------------------

    def set_mask(self, command: SetMask) -> None:
        """Want another mask; by hand it ends a plan.

        Raises:
            Problem: it names owners that are not there.
        """
        count = len(self.context.stack.owners)
        if any(not 0 <= owner < count for owner in command.trainable):
            raise Problem(f"The mask names owners that this model does not have ({count}).")
        mask, progress = frozenset(command.trainable), self.progress
        if mask != progress.wanted and progress.plan is not None:
            left = _LeftPlan(progress.plan, progress.cycle, progress.wanted, progress.here)
            self.leave_plan("interrupted by hand", interrupted=True)
            self._left = left
        progress.wanted, self.strategy = mask, command.strategy
        left_plan = self._left
        if left_plan and mask == left_plan.wanted and progress.here == left_plan.here:
            self._take_up(left_plan)

    def set_norm_mode(self, command: SetNormMode) -> None:
        """Run BatchNorms in another mode than the mask says.

        Raises:
            Problem: one of the owners keeps no running statistics.
        """
        owners = self.context.stack.owners
        norms = {i for i, owner in enumerate(owners) if owner.keeps_statistics}
        if not norms.issuperset(command.owners):
            raise Problem("Only BatchNorms that keep running statistics have modes.")
        for number in command.owners:
            if command.mode == "auto":
                self.norm_modes.pop(number, None)
            else:
                self.norm_modes[number] = command.mode
        names = [owners[number].name for number in command.owners]
        self.journal.note("norm_mode", modules=names, mode=command.mode)
        self.emit(NormModeChanged(owners=command.owners, mode=command.mode))

    # --- recipe and rates -----------------------------------------------------------------------

    def set_recipe(self, recipe: Recipe) -> bool:
        """Train with another recipe; True if a step has another price with it.

        Raises:
            Problem: it cannot be trained with, or the device lacks its precision.
        """
        before = self.trainer.recipe
        if recipe.precision not in self.context.event.precisions:
            raise Problem(f"{self.context.event.device} has no {recipe.precision}.")
        self.trainer.set_recipe(recipe)
        horizon_moved = self.progress.set_recipe(recipe)
        self.tell_recipe()
        if horizon_moved:
            self._tell_cycle(f"{recipe.epochs} epoch{'' if recipe.epochs == 1 else 's'}")
        return (recipe.optimizer, recipe.precision) != (before.optimizer, before.precision)

    def set_rate(self, command: SetRate) -> None:
        """Give rows a base rate by hand.

        Raises:
            Problem: a row that is not there, or no rate.
        """
        rates = list(self.trainer.rates)
        if any(not 0 <= row < len(rates) for row in command.rows):
            raise Problem(f"The rates name rows that this model does not have ({len(rates)}).")
        if not 0 <= command.rate <= LARGEST:
            raise Problem(f"A learning rate of {command.rate} is none; it is a number from 0 on.")
        for row in command.rows:
            rates[row] = command.rate
        self.trainer.rates = tuple(rates)
        self.tell_recipe()

    def tell_recipe(self) -> None:
        """Recipe and base rates as they are now."""
        rows, rates = self.context.stack.rows, self.trainer.rates
        self.journal.note(
            "recipe",
            after_step=self.progress.step,
            rates={row.name: rate for row, rate in zip(rows, rates, strict=True)},
            **msgspec.structs.asdict(self.trainer.recipe),
        )
        self.emit(RecipeChanged(recipe=self.trainer.recipe, rates=rates))

    # --- schedule and plan ----------------------------------------------------------------------

    def begin_cycle(self, why: str, steps: int | None = None) -> None:
        """The schedule begins anew with the coming step."""
        self.progress.begin_cycle(steps)
        self._tell_cycle(why)

    def end_at(self, step: int) -> None:
        """Move the horizon of the cycle to a step of this start."""
        self.progress.end_at(step)
        self._tell_cycle(f"to end with step {step:,}")

    def _tell_cycle(self, why: str) -> None:
        cycle = self.progress.cycle
        self.journal.note("cycle", why=why, **msgspec.structs.asdict(cycle))
        self.emit(CycleBegan(cycle=cycle, reason=why))

    def set_plan(self, name: PlanName | None, phase_epochs: int | None) -> None:
        """Follow a plan from the coming step on, or leave the one that is followed.

        Raises:
            Problem: the recipe's epochs are too few for it.
        """
        if name is None:
            if self.progress.plan is not None:
                self.leave_plan("left")
            return
        plan = plans.make_plan(
            name,
            self.context.from_top,
            epochs=self.trainer.recipe.epochs,
            phase_epochs=phase_epochs,
            batches_per_epoch=self.progress.batches_per_epoch,
            after_step=self.progress.step,
        )
        self.progress.follow(plan)
        self.journal.note("plan", **msgspec.structs.asdict(plan))
        self.emit(PlanChanged(plan=plan))
        self.enter_phase()

    def leave_plan(self, why: str, *, interrupted: bool = False) -> None:
        """Follow the plan no further; the mask stays, and the horizon is what the plan's was."""
        plan, progress = self.progress.plan, self.progress
        progress.follow(None)
        self.journal.note("plan", name=None, why=why)
        self.emit(PlanChanged(plan=None, reason=why, interrupted=interrupted))
        if plan is not None and progress.reach_to(plans.end_of_plan(plan)):
            self._tell_cycle(f"the horizon of the plan {plan.name}")

    def _take_up(self, left: _LeftPlan) -> None:
        """Nothing has come of an interruption: the plan goes on as if there had been none."""
        self._left, self.strategy = None, None
        self.progress.follow(left.plan)
        self.progress.cycle = left.cycle
        self.journal.note("plan", why="taken up again", **msgspec.structs.asdict(left.plan))
        self.emit(PlanChanged(plan=left.plan, reason="taken up again"))
        self._tell_cycle(f"plan {left.plan.name} taken up again")

    def enter_phase(self) -> None:
        """Take the mask of the plan's phase that begins with the coming step, if one does."""
        phase = self.progress.phase_to_begin()
        if phase is None or self.progress.plan is None or phase is self._entered:
            return
        self._entered = phase
        why = f"plan {self.progress.plan.name}: {phase.name}"
        self.progress.wanted, self.strategy = frozenset(phase.trainable), None
        self.emit(MaskPlanned(trainable=phase.trainable, reason=why))
        self.begin_cycle(why, phase.steps)
