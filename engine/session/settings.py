"""The settings of the next step: mask, BatchNorm modes, recipe, rates, schedule and plan.

Each change is written to the journal and emitted; it takes effect with the next step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from engine.session.context import SessionContext
from engine.session.progress import Mask, Progress, WeightsVersion
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import SetMask, SetNormMode, SetRate
from tl_tui.protocol.config import PlanName, Recipe
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.layers import NormMode
from tl_tui.protocol.session import (
    Cycle,
    CycleBegan,
    EpochResized,
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
class _InterruptedPlan:
    """What is needed to resume a plan if its interruption is undone before the next step."""

    plan: Plan
    cycle: Cycle
    wanted: Mask
    weights_version: WeightsVersion


class Settings:
    """Applies the commands that change how the next step is taken."""

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
        """The strategy that the wanted mask was set with; None if it was set by hand."""
        self._entered: PlanPhase | None = None
        """The last phase of the plan that was entered."""
        self._interrupted: _InterruptedPlan | None = None
        """The plan that was last interrupted by hand."""
        if context.event.plan is not None:
            progress.follow(context.event.plan)
            progress.begin_cycle(context.event.plan.phases[0].steps)
            self._entered = context.event.plan.phases[0]

    def resume(self, *, strategy: str | None, norm_modes: Mapping[int, NormMode]) -> None:
        """Restore strategy and BatchNorm modes from a checkpoint, after `Progress` was restored."""
        self.strategy, self.norm_modes = strategy, dict(norm_modes)
        self._entered = self.progress.phase_to_begin()

    # --- the mask -------------------------------------------------------------------------------

    def set_mask(self, command: SetMask) -> None:
        """Set the mask of the next step. A change interrupts the plan.

        Setting the old mask again before the next step resumes the plan.

        Raises:
            Problem: the model does not have these owners.
        """
        count = len(self.context.stack.owners)
        if any(not 0 <= owner < count for owner in command.trainable):
            raise Problem(
                f"The mask names layers that this model does not have; it has {count} modules "
                "with parameters or statistics."
            )
        mask, progress = frozenset(command.trainable), self.progress
        if mask != progress.wanted and progress.plan is not None:
            interrupted = _InterruptedPlan(
                progress.plan, progress.cycle, progress.wanted, progress.weights_version
            )
            self.leave_plan("interrupted by hand", interrupted=True)
            self._interrupted = interrupted
        progress.wanted, self.strategy = mask, command.strategy
        before = self._interrupted
        if before and mask == before.wanted and progress.weights_version == before.weights_version:
            self._resume_plan(before)

    def set_norm_mode(self, command: SetNormMode) -> None:
        """Set the mode of BatchNorms, whatever the mask.

        Raises:
            Problem: one of the owners keeps no running statistics.
        """
        owners = self.context.stack.owners
        norms = {i for i, owner in enumerate(owners) if owner.keeps_statistics}
        if not norms.issuperset(command.owners):
            raise Problem("Only BatchNorms with running statistics have a mode to set.")
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
        """Set the recipe.

        Returns:
            Whether the cost of a step changes with it.

        Raises:
            Problem: the device does not support its precision.
        """
        before = self.trainer.recipe
        if recipe.precision not in self.context.event.precisions:
            raise Problem(f"{self.context.event.device} does not support {recipe.precision}.")
        self.trainer.set_recipe(recipe)
        horizon_moved = self.progress.set_recipe(recipe)
        self.emit_recipe()
        if horizon_moved:
            self._emit_cycle(f"{recipe.epochs} epoch{'' if recipe.epochs == 1 else 's'}")
        return (recipe.optimizer, recipe.precision) != (before.optimizer, before.precision)

    def set_rate(self, command: SetRate) -> None:
        """Set the base rate of rows by hand.

        Raises:
            Problem: the model does not have these rows, or the rate is out of range.
        """
        rates = list(self.trainer.rates)
        if any(not 0 <= row < len(rates) for row in command.rows):
            raise Problem(
                "A learning rate was set for a row of the stack that this model does not have."
            )
        if not 0 <= command.rate <= LARGEST:
            raise Problem(
                f"A learning rate must be a finite number, 0 or larger; {command.rate} is not."
            )
        for row in command.rows:
            rates[row] = command.rate
        self.trainer.rates = tuple(rates)
        self.emit_recipe()

    def emit_recipe(self) -> None:
        """Emit the recipe and the base rates, and write them to the journal."""
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
        """Begin a new cycle of the schedule with the next step.

        Args:
            why: The reason, for the user.
            steps: The length of the cycle in steps; if None, the horizon.
        """
        self.progress.begin_cycle(steps)
        self._emit_cycle(why)

    def end_cycle_at(self, step: int) -> None:
        """Move the end of the learning-rate schedule to a step."""
        self.progress.end_cycle_at(step)
        self._emit_cycle(f"to end with step {step:,}")

    def resize_epochs(self) -> None:
        """Adapt schedule, plan and end to the length of an epoch, and emit it if it has changed.

        It changes if training images turn out to be unreadable.
        """
        if self.adapt_to_epochs():
            progress, batches = self.progress, self.trainer.batches
            self.emit(
                EpochResized(
                    batches_per_epoch=progress.batches_per_epoch,
                    epoch_shift=batches.position - progress.step,
                    cycle=progress.cycle,
                    plan=progress.plan,
                    to_step=progress.train_to,
                )
            )

    def adapt_to_epochs(self) -> bool:
        """Adapt schedule, plan and end to the length of an epoch, and write that to the journal.

        Returns:
            Whether the length has changed.
        """
        progress, batches = self.progress, self.trainer.batches
        left = batches.left_in_epoch
        if not batches.cursor.number and progress.left_in_epoch != progress.batches_per_epoch:
            left = 0  # the epoch has ended earlier than it seemed
        cycle, plan = progress.cycle, progress.plan
        if not progress.resize_epochs(left, batches.batches_per_epoch):
            return False
        if plan is not None and progress.plan is not None and self._entered in plan.phases:
            self._entered = progress.plan.phases[plan.phases.index(self._entered)]
        if progress.cycle != cycle:
            self.journal.note(
                "cycle", why="images cannot be read", **msgspec.structs.asdict(progress.cycle)
            )
        return True

    def _emit_cycle(self, why: str) -> None:
        cycle = self.progress.cycle
        self.journal.note("cycle", why=why, **msgspec.structs.asdict(cycle))
        self.emit(CycleBegan(cycle=cycle, reason=why))

    def set_plan(self, name: PlanName | None, phase_epochs: int | None) -> None:
        """Follow a plan from the next step on.

        Args:
            name: The plan; None leaves the current one.
            phase_epochs: Epochs per phase but the last; None is the plan's own default.

        Raises:
            Problem: the recipe has too few epochs for the plan.
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
        """Stop following the plan. The mask stays, and so does the end of the schedule."""
        plan, progress = self.progress.plan, self.progress
        progress.follow(None)
        self.journal.note("plan", name=None, why=why)
        self.emit(PlanChanged(plan=None, reason=why, interrupted=interrupted))
        if plan is not None and progress.extend_cycle_to(plans.end_of_plan(plan)):
            self._emit_cycle(f"it ends where the plan {plan.name} would have ended")

    def _resume_plan(self, before: _InterruptedPlan) -> None:
        """Follow an interrupted plan again, as if it had not been interrupted."""
        self._interrupted, self.strategy = None, None
        self.progress.follow(before.plan)
        self.progress.cycle = before.cycle
        self.journal.note("plan", why="resumed", **msgspec.structs.asdict(before.plan))
        self.emit(PlanChanged(plan=before.plan, reason="resumed"))
        self._emit_cycle(f"plan {before.plan.name} resumed")

    def enter_phase(self) -> None:
        """If a phase of the plan begins with the next step, set its mask and begin a cycle."""
        phase = self.progress.phase_to_begin()
        if phase is None or self.progress.plan is None or phase is self._entered:
            return
        self._entered = phase
        why = f"plan {self.progress.plan.name}: {phase.name}"
        self.progress.wanted, self.strategy = frozenset(phase.trainable), None
        self.emit(MaskPlanned(trainable=phase.trainable, reason=why))
        self.begin_cycle(why, phase.steps)
