"""What is told of a step that was not applied: what happened, where, and what can be done."""

from __future__ import annotations

import math
from typing import Any

from engine.model.freezing import Mask
from engine.session.context import SessionContext
from engine.session.memory_advice import advise
from engine.session.progress import Progress
from engine.training.step_errors import NotFinite, StepRefused
from tl_tui.protocol.checks import StepCostMeasured
from tl_tui.protocol.training import StepNotApplied


def make_failure_event(
    refused: StepRefused,
    context: SessionContext,
    progress: Progress,
    price: StepCostMeasured | None,
    *,
    mask: Mask,
    command: int,
) -> StepNotApplied:
    """The event of a refused step.

    Args:
        refused: The refusal.
        opened: The session.
        course: Where it stands; the step would have been the next.
        price: Of a step, if it was measured.
        mask: The step's.
        command: The `Step` it was asked for with; 0 in training.
    """
    number, stack = progress.step + 1, context.stack
    fields: dict[str, Any] = {}
    if isinstance(refused, NotFinite):
        owner = None if refused.owner is None else stack.owners[refused.owner]
        row = None if owner is None else owner.row
        name = "" if row is None else stack.rows[row].name
        sentence = not_finite_sentence(refused, number, name, "" if owner is None else owner.name)
        fields = {"loss": refused.loss, "row": row}
    else:
        short = advise(context, price, mask, failed=True)
        sentence = (
            f"Step {number:,} ran out of memory and was not applied; everything is as before it. "
            f"{short.sentences}"
        )
        fields = {
            "needed": short.needed,
            "available": short.available,
            "trainable": None if short.mask is None else tuple(sorted(short.mask[1])),
            "batch_size": short.batch_size,
        }
    return StepNotApplied(
        id=command,
        start=progress.start,
        step=number,
        sentence=sentence,
        memory=refused.memory,
        **fields,
    )


def not_finite_sentence(refused: NotFinite, step: int, row: str, owner: str) -> str:
    """Which step was not applied, and where the first value is that is not finite.

    Args:
        refused: The refusal.
        step: The number that the step would have had.
        row: The layer's name; empty if it was not found.
        owner: The name of the module in it.
    """
    loss = "infinite" if math.isinf(refused.loss) else "not a number"
    start = f"Step {step:,} was not applied, and everything is as before it"
    where = row if owner in ("", row) else f"{row} ({owner})"
    advice = " Go on from an earlier checkpoint, or start over, with lower learning rates."
    match refused.what:
        case "gradient":
            why = f"the gradient is not finite; going down, it is so first in {where}"
        case "images":
            why = f"the loss is {loss}, because the images of the batch are not finite"
            advice = " Look at the images."
        case "weights":
            why = f"the loss is {loss}; the weights of {where} are not finite already"
        case "output":
            why = f"the loss is {loss}; going up, the first output that is not finite is {where}'s"
        case _:
            why = f"the loss is {loss}"
    return f"{start}: {why}.{advice}"
