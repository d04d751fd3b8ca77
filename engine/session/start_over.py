"""The commands that restore weights: start over, restore layers, and undo either."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec
from torch import Tensor

from engine.checks.audit import Audit
from engine.checks.weight_drift import WeightDrift
from engine.session.checkpointing import Checkpointing
from engine.session.context import SessionContext
from engine.session.settings import Settings
from engine.session.start_snapshots import StartSnapshots
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import StartOver
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import (
    LayerRestored,
    MaskPlanned,
    PlanChanged,
    StartedOver,
    StartOverUndone,
)
from tl_tui.runs.journal_writer import JournalWriter


class StartOvers:
    """Restores weights, and updates the audit and the weight drift, which compare with a start."""

    def __init__(
        self,
        context: SessionContext,
        settings: Settings,
        starts: StartSnapshots,
        checkpointing: Checkpointing,
        journal: JournalWriter,
        emit: Callable[[AnyEvent], None],
    ) -> None:
        self.context, self.settings, self.starts = context, settings, starts
        self.progress, self.checkpointing = settings.progress, checkpointing
        self.journal, self.emit = journal, emit
        first = starts.first.snapshot.tensors
        self.audit = Audit(context.trainer, first, self.progress.wanted)
        self.weight_drift = WeightDrift(context.stack, first)

    def start_over(self, command: StartOver) -> None:
        """Begin a new start from the weights that the command names.

        Raises:
            Problem: no step was taken since the current start began from these weights.
        """
        progress = self.progress
        if progress.step == 0 and command.weights == "same":
            raise Problem("This is the start already.")
        if command.weights == "same":
            chosen = self.starts.current
        elif command.weights == "first":
            chosen = self.starts.first
        else:
            chosen = self.starts.random_weights()
        from_step, changed = progress.step, chosen is not self.starts.current
        if from_step and command.keep:
            self.checkpointing.save(f"start-{progress.start}")
        followed_plan = progress.plan is not None
        self.starts.start_over(chosen)
        self.reset_comparisons(chosen.snapshot.tensors)
        event = StartedOver(
            start=progress.start,
            from_step=from_step,
            weights=chosen.weights,
            pretrained=chosen.pretrained,
            cycle=progress.cycle,
        )
        self.journal.note("start_over", **msgspec.structs.asdict(event))
        self.emit(event)
        if followed_plan:
            self.settings.leave_plan("started over")
        if changed:
            self._emit_recipe_and_mask(f"a new start from {chosen.weights} weights")

    def undo_start_over(self) -> None:
        """Undo the last start over.

        Raises:
            Problem: there is none, or a step was taken since.
        """
        progress, undone = self.progress, self.starts.current
        snapshot = self.starts.undo_start_over()
        if snapshot is None:
            raise Problem(
                "There is no start over to undo; it can be undone only before the next step."
            )
        self.reset_comparisons(snapshot.tensors)
        current = self.starts.current
        event = StartOverUndone(
            start=progress.start,
            step=progress.step,
            weights=current.weights,
            pretrained=current.pretrained,
            cycle=progress.cycle,
            epoch_shift=self.context.trainer.batches.position - progress.step,
        )
        self.journal.note("start_over_undone", **msgspec.structs.asdict(event))
        self.emit(event)
        if progress.plan is not None:
            self.emit(PlanChanged(plan=progress.plan))
        if current is not undone:
            self._emit_recipe_and_mask("the new start was undone")

    def _emit_recipe_and_mask(self, why: str) -> None:
        """Emit the recipe and mask that were set together with the start."""
        self.settings.strategy = None
        self.settings.emit_recipe()
        self.emit(MaskPlanned(trainable=tuple(sorted(self.progress.wanted)), reason=why))

    def reset_comparisons(self, tensors: Mapping[str, Tensor]) -> None:
        """Audit against these tensors from now on, and measure drift from the current start.

        Args:
            tensors: The current parameters and buffers by name, on the host.
        """
        self.audit.reset(tensors, self.progress.wanted)
        self.weight_drift = WeightDrift(self.context.stack, self.starts.current.snapshot.tensors)

    # --- layers ---------------------------------------------------------------------------------

    def restore_layers(self, owners: Iterable[int]) -> None:
        """Restore owners to the weights and buffers that the current start began with.

        Raises:
            Problem: the model does not have these owners.
        """
        chosen = set(owners)
        if not chosen <= set(range(len(self.context.stack.owners))):
            raise Problem("The model does not have these layers.")
        self.starts.restore_layers(chosen)
        self._emit_restored(chosen, undone=False)

    def undo_restore_layers(self) -> None:
        """Undo the last restoring of layers.

        Raises:
            Problem: there is none, or a step was taken since.
        """
        owners = self.starts.undo_restore_layers()
        if owners is None:
            raise Problem(
                "There is no restored layer to undo; it can be undone only before the next step."
            )
        self._emit_restored(owners, undone=True)

    def _emit_restored(self, owners: set[int], *, undone: bool) -> None:
        self.audit.accept_changes(owners)
        names = [self.context.stack.owners[owner].name for owner in sorted(owners)]
        self.journal.note(
            "layer_restored",
            after_step=self.progress.step,
            modules=names,
            undone=undone,
        )
        self.emit(LayerRestored(owners=tuple(sorted(owners)), undone=undone))
