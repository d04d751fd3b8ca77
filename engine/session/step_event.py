"""The event of a step that was taken."""

from __future__ import annotations

from engine.model.freezing import Mask
from engine.session.progress import Progress
from engine.training.step_result import StepResult
from tl_tui.protocol.training import StepTaken


def make_step_event(
    result: StepResult, progress: Progress, mask: Mask, lr_factor: float
) -> StepTaken:
    """Return the event of a step.

    Args:
        result: The trainer's result.
        progress: The progress of the session after the step.
        mask: The trainable owners of the step.
        lr_factor: The schedule's factor on the base rates.
    """
    measured = result.measurement
    return StepTaken(
        start=progress.start,
        step=progress.step,
        epoch=result.batch.epoch,
        loss=result.loss,
        correct=result.correct,
        batch=len(result.batch.labels),
        seconds=result.seconds,
        mask=tuple(sorted(mask)),
        forward_ms=measured.forward_ms if measured else None,
        backward_ms=measured.backward_ms if measured else None,
        update_ms=measured.update_ms if measured else None,
        rows=measured.rows if measured else (),
        owners=measured.owners if measured else (),
        memory_used=result.memory_used,
        cached_rows=result.cached_rows,
        captured=result.captured,
        lr_factor=lr_factor,
        seconds_left=progress.seconds_left,
    )
