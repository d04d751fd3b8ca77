"""The commands that put weights back: start over, a new start, one layer; and taking them back."""

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

TOO_LATE = "There is nothing to take back; a step has been taken since."


class StartOvers:
    """Keeps what measures against a start (audit, distances) in step with what was put back."""

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
        self.moved = WeightDrift(context.stack, first)

    def start_over(self, command: StartOver) -> None:
        """Begin again, from this start's own origin or from another.

        Raises:
            Problem: this is the start already.
        """
        progress = self.progress
        if progress.step == 0 and command.weights == "same":
            raise Problem("This is the start already.")
        if command.weights == "same":
            origin = self.starts.origin
        elif command.weights == "first":
            origin = self.starts.first
        else:
            origin = self.starts.scratch()
        from_step, another = progress.step, origin is not self.starts.origin
        if from_step and command.keep:
            self.checkpointing.save(f"start-{progress.start}")
        followed = progress.plan is not None
        self.starts.over(origin)
        self.begin_from(origin.snapshot.tensors)
        event = StartedOver(
            start=progress.start,
            from_step=from_step,
            weights=origin.weights,
            pretrained=origin.pretrained,
            cycle=progress.cycle,
        )
        self.journal.note("start_over", **msgspec.structs.asdict(event))
        self.emit(event)
        if followed:
            self.settings.leave_plan("started over")
        if another:
            self._tell_choices(f"a new start from {origin.weights} weights")

    def undo_start_over(self) -> None:
        """Take the last start over back.

        Raises:
            Problem: a step was taken since.
        """
        progress, left = self.progress, self.starts.origin
        snapshot = self.starts.back()
        if snapshot is None:
            raise Problem("There is no start over to take back; a step has been taken since.")
        self.begin_from(snapshot.tensors)
        origin = self.starts.origin
        event = StartOverUndone(
            start=progress.start,
            step=progress.step,
            weights=origin.weights,
            pretrained=origin.pretrained,
            cycle=progress.cycle,
        )
        self.journal.note("start_over_undone", **msgspec.structs.asdict(event))
        self.emit(event)
        if progress.plan is not None:
            self.emit(PlanChanged(plan=progress.plan))
        if origin is not left:
            self._tell_choices("the new start taken back")

    def _tell_choices(self, why: str) -> None:
        """Recipe and mask came with the start."""
        self.settings.strategy = None
        self.settings.tell_recipe()
        self.emit(MaskPlanned(trainable=tuple(sorted(self.progress.wanted)), reason=why))

    def begin_from(self, tensors: Mapping[str, Tensor]) -> None:
        """Everything was put to a known state."""
        self.audit.begin_from(tensors, self.progress.wanted)
        self.moved = WeightDrift(self.context.stack, self.starts.origin.snapshot.tensors)

    # --- one layer ------------------------------------------------------------------------------

    def return_layer(self, owners: Iterable[int]) -> None:
        """Put owners back to the weights and buffers their start began with.

        Raises:
            Problem: owners that are not there.
        """
        chosen = set(owners)
        if not chosen <= set(range(len(self.context.stack.owners))):
            raise Problem("The model does not have these layers.")
        self.starts.return_layer(chosen)
        self._returned(chosen, undone=False)

    def undo_return_layer(self) -> None:
        """Take the last returned layer back.

        Raises:
            Problem: a step was taken since.
        """
        owners = self.starts.return_back()
        if owners is None:
            raise Problem(TOO_LATE)
        self._returned(owners, undone=True)

    def _returned(self, owners: set[int], *, undone: bool) -> None:
        self.audit.returned(owners)
        names = [self.context.stack.owners[owner].name for owner in sorted(owners)]
        self.journal.note(
            "layer_restored",
            after_step=self.progress.step,
            modules=names,
            undone=undone,
        )
        self.emit(LayerRestored(owners=tuple(sorted(owners)), undone=undone))
