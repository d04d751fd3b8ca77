"""The commands that put weights back: start over, a new start, one layer; and taking them back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec
from torch import Tensor

from engine.checks.audit import Audit
from engine.checks.weight_drift import Moved
from engine.session.checkpointing import Keeping
from engine.session.context import Opened
from engine.session.settings import Steering
from engine.session.start_snapshots import Starts
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import StartOver
from tl_tui.protocol.events import (
    AnyEvent,
    LayerRestored,
    MaskPlanned,
    PlanChanged,
    StartedOver,
    StartOverUndone,
)
from tl_tui.runs.journal_writer import Record

TOO_LATE = "There is nothing to take back; a step has been taken since."


class Restarting:
    """Keeps what measures against a start (audit, distances) in step with what was put back."""

    def __init__(
        self,
        opened: Opened,
        steering: Steering,
        starts: Starts,
        keeping: Keeping,
        record: Record,
        emit: Callable[[AnyEvent], None],
    ) -> None:
        self.opened, self.steering, self.starts = opened, steering, starts
        self.course, self.keeping = steering.course, keeping
        self.record, self.emit = record, emit
        first = starts.first.snapshot.tensors
        self.audit = Audit(opened.trainer, first, self.course.wanted)
        self.moved = Moved(opened.stack, first)

    def start_over(self, command: StartOver) -> None:
        """Begin again, from this start's own origin or from another.

        Raises:
            Problem: this is the start already.
        """
        course = self.course
        if course.step == 0 and command.weights == "same":
            raise Problem("This is the start already.")
        if command.weights == "same":
            origin = self.starts.origin
        elif command.weights == "first":
            origin = self.starts.first
        else:
            origin = self.starts.scratch()
        from_step, another = course.step, origin is not self.starts.origin
        if from_step and command.keep:
            self.keeping.save(f"start-{course.start}")
        followed = course.plan is not None
        self.starts.over(origin)
        self.begin_from(origin.snapshot.tensors)
        event = StartedOver(
            start=course.start,
            from_step=from_step,
            weights=origin.weights,
            pretrained=origin.pretrained,
            cycle=course.cycle,
        )
        self.record.note("start_over", **msgspec.structs.asdict(event))
        self.emit(event)
        if followed:
            self.steering.leave_plan("started over")
        if another:
            self._tell_choices(f"a new start from {origin.weights} weights")

    def undo_start_over(self) -> None:
        """Take the last start over back.

        Raises:
            Problem: a step was taken since.
        """
        course, left = self.course, self.starts.origin
        snapshot = self.starts.back()
        if snapshot is None:
            raise Problem("There is no start over to take back; a step has been taken since.")
        self.begin_from(snapshot.tensors)
        origin = self.starts.origin
        event = StartOverUndone(
            start=course.start,
            step=course.step,
            weights=origin.weights,
            pretrained=origin.pretrained,
            cycle=course.cycle,
        )
        self.record.note("start_over_undone", **msgspec.structs.asdict(event))
        self.emit(event)
        if course.plan is not None:
            self.emit(PlanChanged(plan=course.plan))
        if origin is not left:
            self._tell_choices("the new start taken back")

    def _tell_choices(self, why: str) -> None:
        """Recipe and mask came with the start."""
        self.steering.strategy = None
        self.steering.tell_recipe()
        self.emit(MaskPlanned(trainable=tuple(sorted(self.course.wanted)), why=why))

    def begin_from(self, tensors: Mapping[str, Tensor]) -> None:
        """Everything was put to a known state."""
        self.audit.begin_from(tensors, self.course.wanted)
        self.moved = Moved(self.opened.stack, self.starts.origin.snapshot.tensors)

    # --- one layer ------------------------------------------------------------------------------

    def return_layer(self, owners: Iterable[int]) -> None:
        """Put owners back to the weights and buffers their start began with.

        Raises:
            Problem: owners that are not there.
        """
        chosen = set(owners)
        if not chosen <= set(range(len(self.opened.stack.owners))):
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
        names = [self.opened.stack.owners[owner].name for owner in sorted(owners)]
        self.record.note(
            "layer_restored",
            after_step=self.course.step,
            modules=names,
            undone=undone,
        )
        self.emit(LayerRestored(owners=tuple(sorted(owners)), undone=undone))
