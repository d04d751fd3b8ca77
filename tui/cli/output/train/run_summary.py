"""The state of a run so far, collected from its events for the report."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from tl_tui.common.metrics import diverged
from tl_tui.protocol.checks import CrossValidationEnded, FoldValidated
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import EpochResized, MaskPlanned, SessionOpened
from tl_tui.protocol.training import (
    CheckpointSaved,
    StepNotApplied,
    StepTaken,
    TrainBegan,
    TrainEnded,
    Validated,
)


@dataclass
class RunSummary:
    """What happened in a run so far."""

    session: SessionOpened
    to_step: int | None = None
    """The step at which training ends; None until training has started."""
    step: StepTaken | None = None
    """The last step."""
    measured: StepTaken | None = None
    """The last measured step."""
    validation: Validated | None = None
    """The last validation of the whole validation set."""
    best: Validated | None = None
    """The best validation."""
    checkpoints: dict[str, CheckpointSaved] = field(default_factory=dict)
    """The last saved checkpoint of each name."""
    mask_why: str = ""
    """Why the engine planned its last mask; a cycle with the same reason is not reported."""
    folds: list[FoldValidated] = field(default_factory=list)
    ended: bool = False
    """Whether training or cross-validation has finished or failed."""
    failed: bool = False
    """Whether training has failed."""
    not_applied: StepNotApplied | None = None
    """The step that could not be applied, which ended training."""
    diverged_at: int | None = None
    """The first step whose loss shows that training has diverged."""

    def update(self, event: AnyEvent) -> None:
        """Update the state from an event."""
        match event:
            case TrainBegan():
                self.to_step = event.to_step
            case EpochResized():
                self.session = msgspec.structs.replace(
                    self.session,
                    batches_per_epoch=event.batches_per_epoch,
                    epoch_shift=event.epoch_shift,
                )
                if self.to_step is not None and event.to_step is not None:
                    self.to_step = event.to_step
            case StepTaken():
                self.step = event
                if self.diverged_at is None and diverged(event.loss, len(self.session.classes)):
                    self.diverged_at = event.step
                if event.rows:
                    self.measured = event
            case Validated(yardstick=False):
                self.validation = event
                if event.best:
                    self.best = event
            case CheckpointSaved():
                if not event.failure:
                    self.checkpoints[event.name] = event
            case StepNotApplied():
                self.not_applied = event
            case MaskPlanned():
                self.mask_why = event.reason
            case FoldValidated():
                self.folds.append(event)
            case (
                TrainEnded(reason="done" | "failed")
                | CrossValidationEnded(reason="done" | "failed")
            ):
                self.ended = True
                self.failed = isinstance(event, TrainEnded) and event.reason == "failed"

    @property
    def steps(self) -> int:
        """The number of steps taken."""
        return self.step.step if self.step else self.session.step

    @property
    def epochs(self) -> int | None:
        """The total number of epochs, rounded up; None until training has started."""
        if self.to_step is None:
            return None
        return -(-(self.to_step + self.session.epoch_shift) // self.session.batches_per_epoch)
