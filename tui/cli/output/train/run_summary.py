"""What is known of a run so far, for the words at its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from tl_tui.protocol.checks import CrossValidationEnded, FoldValidated
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import MaskPlanned, SessionOpened
from tl_tui.protocol.training import CheckpointSaved, StepTaken, TrainBegan, TrainEnded, Validated


@dataclass
class RunSummary:
    session: SessionOpened
    to_step: int | None = None
    """Where training is to end; None until it has begun."""
    step: StepTaken | None = None
    """The last."""
    measured: StepTaken | None = None
    """The last that was measured."""
    validation: Validated | None = None
    """The last of the whole validation set."""
    best: Validated | None = None
    checkpoints: dict[str, CheckpointSaved] = field(default_factory=dict)
    """The last of each name that could be saved."""
    mask_why: str = ""
    """Why the engine planned its last mask; a cycle that begins with it need not be told."""
    folds: list[FoldValidated] = field(default_factory=list)
    ended: bool = False
    unsaved: str = ""
    """Why the last checkpoint `last` could not be written; empty if it could."""

    def note(self, event: AnyEvent) -> None:
        """An event came."""
        match event:
            case TrainBegan():
                self.to_step = event.to_step
            case StepTaken():
                self.step = event
                if event.rows:
                    self.measured = event
            case Validated(yardstick=False):
                self.validation = event
                if event.best:
                    self.best = event
            case CheckpointSaved():
                if not event.failure:
                    self.checkpoints[event.name] = event
                if event.name == "last":
                    self.unsaved = event.failure
            case MaskPlanned():
                self.mask_why = event.reason
            case FoldValidated():
                self.folds.append(event)
            case (
                TrainEnded(reason="done" | "failed")
                | CrossValidationEnded(reason="done" | "failed")
            ):
                self.ended = True

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self.step.step if self.step else self.session.step

    @property
    def epochs(self) -> int | None:
        """How many epochs are begun until the end; None until training has begun."""
        if self.to_step is None:
            return None
        return -(-self.to_step // self.session.batches_per_epoch)
