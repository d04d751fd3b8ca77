"""What is told of a step that was taken."""

from __future__ import annotations

from engine.model.freezing import Mask
from engine.session.progress import Progress
from engine.training.step_result import StepResult
from tl_tui.protocol.events import StepTaken


def make_step_event(result: StepResult, progress: Progress, mask: Mask, factor: float) -> StepTaken:
    """The event of a step.

    Args:
        result: What the trainer says of it.
        course: Where the run stands after it.
        mask: The trainable owners it ran with.
        factor: What every base rate was multiplied with.
    """
    seen = result.measurement
    return StepTaken(
        start=progress.start,
        step=progress.step,
        epoch=result.batch.epoch,
        loss=result.loss,
        correct=result.correct,
        batch=len(result.batch.labels),
        seconds=result.seconds,
        mask=tuple(sorted(mask)),
        forward_ms=seen.forward_ms if seen else None,
        backward_ms=seen.backward_ms if seen else None,
        update_ms=seen.update_ms if seen else None,
        rows=seen.rows if seen else (),
        owners=seen.owners if seen else (),
        memory_used=result.memory_used,
        cached_rows=result.cached_rows,
        captured=result.captured,
        lr_factor=factor,
        seconds_left=progress.seconds_left,
    )
