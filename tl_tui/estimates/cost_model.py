"""What a step with any mask will cost, from what the probe measured of each owner.

Where the gradient goes follows ancestry, as in `gradient_reach`: an owner gets a gradient at its
output if it or an ancestor is trainable, and hands it on if an ancestor is. From that follows which
tensors autograd keeps, and a step is gone through owner by owner, forward, backward and update, for
the moment at which most memory is in use. Imports no torch: a screen can answer in the same frame
as a key.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tl_tui.protocol.checks import StepCostMeasured


@dataclass(frozen=True)
class StepCostPrediction:
    """What one measured step with a mask is predicted to take."""

    step_ms: float
    """Wall time of a step that the probe does not watch."""
    peak_bytes: int
    """The most memory in use at any moment of it, over what was in use before."""


def predict_step_cost(
    price: StepCostMeasured, parents: Sequence[Sequence[int]], mask: Collection[int]
) -> StepCostPrediction:
    """The price of a step with a mask.

    Neither time nor memory falls when an owner is added to the mask.

    Args:
        price: What the probe measured.
        parents: For each owner, in execution order, the owners whose outputs feed it.
        mask: Indices of the trainable owners.
    """
    learns = set(mask)
    arrives: list[bool] = []
    milliseconds = price.fixed_ms + sum(price.forward_ms)
    for owner, above in enumerate(parents):
        handed_on = any([arrives[parent] for parent in above])
        if handed_on:
            milliseconds += price.input_grad_ms[owner]
        if owner in learns:
            milliseconds += price.weight_grad_ms[owner]
        arrives.append(handed_on or owner in learns)
    return StepCostPrediction(milliseconds, _peak_bytes(price, arrives, learns))


def saved_bytes(
    price: StepCostMeasured, parents: Sequence[Sequence[int]], mask: Collection[int]
) -> int:
    """Bytes of the tensors that autograd keeps for backward; weights and buffers left out."""
    learns = set(mask)
    arrives: list[bool] = []
    for owner, above in enumerate(parents):
        arrives.append(owner in learns or any([arrives[parent] for parent in above]))
    return sum(_kept(price, arrives, learns))


def _kept(price: StepCostMeasured, arrives: list[bool], learns: set[int]) -> list[int]:
    """Bytes that are kept for backward, by the owner at which they are saved."""
    kept = [0] * len(arrives)
    for tensors in price.saved:
        for owner in tensors.if_reached:
            if arrives[owner]:
                kept[tensors.owner] += tensors.bytes
                break
        else:
            if not learns.isdisjoint(tensors.if_trainable):
                kept[tensors.owner] += tensors.bytes
    return kept


def _peak_bytes(price: StepCostMeasured, arrives: list[bool], learns: set[int]) -> int:
    kept = _kept(price, arrives, learns)
    peak = held = 0
    for owner, more in enumerate(kept):
        held += round(more * (1 + price.saved_overhead))
        peak = max(peak, price.forward_bytes[owner], held + price.forward_extra_bytes[owner])
    gradients = 0
    for owner in range(len(kept) - 1, -1, -1):
        if owner in learns:
            gradients += price.gradient_bytes[owner]
        if arrives[owner]:
            beside = round(gradients * price.gradient_overhead)
            peak = max(peak, held + gradients + beside + price.backward_bytes[owner])
        held -= round(kept[owner] * (1 + price.saved_overhead))
    # A measured step keeps the weights as they were before the update (`engine.training.probe`):
    # as many bytes as there are gradients.
    peak = max(peak, round(gradients * (2 + price.gradient_overhead)))
    state = sum([price.state_bytes[owner] for owner in learns])
    return price.fixed_bytes + state + peak
