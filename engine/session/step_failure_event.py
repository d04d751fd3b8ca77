"""The event of a step that was not applied."""

from __future__ import annotations

import math
from typing import Any

from engine.model.freezing import Mask
from engine.session.context import SessionContext
from engine.session.memory_advice import advise
from engine.session.progress import Progress
from engine.training.step_errors import NotFinite, StepRefused
from tl_tui.common.metrics import diverged
from tl_tui.protocol.checks import StepCostMeasured
from tl_tui.protocol.training import Remedy, StepNotApplied


def make_failure_event(
    refused: StepRefused,
    context: SessionContext,
    progress: Progress,
    cost: StepCostMeasured | None,
    *,
    mask: Mask,
    command: int,
) -> StepNotApplied:
    """Return the event of a refused step: what happened, in which layer, and what to do.

    Args:
        refused: The trainer's refusal.
        context: The session.
        progress: The progress of the session; the refused step would have been the next one.
        cost: The measured cost of a step; None if it was not measured.
        mask: The trainable owners of the step.
        command: The id of the `Step` command; 0 in training.
    """
    number, stack = progress.step + 1, context.stack
    fields: dict[str, Any] = {}
    if isinstance(refused, NotFinite):
        owner = None if refused.owner is None else stack.owners[refused.owner]
        row = None if owner is None else owner.row
        name = "" if row is None else stack.rows[row].name
        remedy = _remedy(refused, context, progress)
        module = "" if owner is None else owner.name
        sentence = not_finite_sentence(refused, number, name, module, remedy)
        fields = {"loss": refused.loss, "row": row, "remedy": remedy}
    else:
        advice = advise(context, cost, mask, failed=True)
        sentence = (
            f"Step {number:,} ran out of memory and was not applied; everything is as before it. "
            f"{advice.text}"
        )
        fields = {
            "needed": advice.needed,
            "available": advice.available,
            "trainable": None if advice.mask is None else tuple(sorted(advice.mask[1])),
            "batch_size": advice.batch_size,
        }
    return StepNotApplied(
        id=command,
        start=progress.start,
        step=number,
        sentence=sentence,
        memory=refused.memory,
        **fields,
    )


def _remedy(refused: NotFinite, context: SessionContext, progress: Progress) -> Remedy:
    """Return what can help against a value that is not finite, as far as the facts tell."""
    if refused.what in ("images", "cache"):
        return refused.what
    if not progress.step:  # nothing was trained, so no learning rate was used
        return "weights"
    classes = len(context.folder.classes)
    if progress.first_loss is not None and diverged(progress.first_loss, classes):
        return "weights"  # the first loss is computed before the first update
    return "rates" if any(context.trainer.rates) else "weights"


def not_finite_sentence(refused: NotFinite, step: int, row: str, owner: str, remedy: Remedy) -> str:
    """Return a message about a step with NaN or infinity: the first value affected, and what to do.

    Args:
        refused: The trainer's refusal.
        step: The number that the step would have had.
        row: The name of the first layer affected; empty if it was not found.
        owner: The name of the first module affected in it.
        remedy: What can help.
    """
    loss = "infinite" if math.isinf(refused.loss) else "not a number"
    start = f"Step {step:,} was not applied, and everything is as before it"
    where = row if owner in ("", row) else f"{row} ({owner})"
    match refused.what:
        case "gradient":
            why = f"the gradient is not finite; backward met this first in {where}"
        case "images":
            why = f"the loss is {loss}, because values of the image {refused.path} are not finite"
        case "cache":
            why = f"the loss is {loss}, because cached activations are not finite"
        case "weights":
            why = f"the loss is {loss}; the weights of {where} were not finite before the step"
        case "output":
            why = f"the loss is {loss}; the first output that is not finite is that of {where}"
        case _:
            why = f"the loss is {loss}"
    return f"{start}: {why}. {_ADVICE[remedy]}"


_ADVICE: dict[Remedy, str] = {
    "rates": "Start over with lower learning rates.",
    "weights": "The weights that training began from are the cause, not a learning rate; start "
    "from other weights.",
    "images": "Remove this image, or save it again.",
    "cache": "The layers below give finite values for the same images; do without the feature "
    "cache (--feature-cache off).",
}
"""What to do, by remedy."""
