"""Predict the time and memory of a train step with any mask from the measured cost of each owner.

A gradient arrives at the output of an owner if the owner or one of its ancestors is trainable. It
goes on below the owner only if an ancestor is trainable (see `gradient_reach`). This decides which
tensors autograd saves. Peak memory is found by going through the forward pass, the backward pass
and the update, owner by owner.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tl_tui.protocol.checks import StepCostMeasured


@dataclass(frozen=True)
class StepCostPrediction:
    """The predicted cost of a measured step with a mask."""

    step_ms: float
    """Wall time of the step without the measurements, in milliseconds."""
    peak_bytes: int
    """Peak memory, in addition to what is in use before the step."""


def predict_step_cost(
    cost: StepCostMeasured, parents: Sequence[Sequence[int]], mask: Collection[int]
) -> StepCostPrediction:
    """Predict the cost of a step with a mask.

    Neither time nor memory decreases when an owner is added to the mask.

    Args:
        cost: The measured cost of each owner.
        parents: For each owner, in execution order, the owners whose outputs feed it.
        mask: Indices of the trainable owners.
    """
    trainable = set(mask)
    arrives: list[bool] = []
    milliseconds = cost.fixed_ms + sum(cost.forward_ms)
    for owner, feeding in enumerate(parents):
        passes_on = any([arrives[parent] for parent in feeding])
        if passes_on:
            milliseconds += cost.input_grad_ms[owner]
        if owner in trainable:
            milliseconds += cost.weight_grad_ms[owner]
        arrives.append(passes_on or owner in trainable)
    return StepCostPrediction(milliseconds, _peak_bytes(cost, arrives, trainable))


def saved_bytes(
    cost: StepCostMeasured, parents: Sequence[Sequence[int]], mask: Collection[int]
) -> int:
    """Return the bytes of the tensors that autograd saves for backward, without weights and
    buffers."""
    trainable = set(mask)
    arrives: list[bool] = []
    for owner, feeding in enumerate(parents):
        arrives.append(owner in trainable or any([arrives[parent] for parent in feeding]))
    return sum(_saved_by_owner(cost, arrives, trainable))


def _saved_by_owner(cost: StepCostMeasured, arrives: list[bool], trainable: set[int]) -> list[int]:
    """Return the bytes saved for backward, by the owner during which they are saved."""
    saved = [0] * len(arrives)
    for tensors in cost.saved:
        for owner in tensors.if_reached:
            if arrives[owner]:
                saved[tensors.owner] += tensors.bytes
                break
        else:
            if not trainable.isdisjoint(tensors.if_trainable):
                saved[tensors.owner] += tensors.bytes
    return saved


def _peak_bytes(cost: StepCostMeasured, arrives: list[bool], trainable: set[int]) -> int:
    saved = _saved_by_owner(cost, arrives, trainable)
    peak = held = 0
    for owner, size in enumerate(saved):
        held += round(size * (1 + cost.saved_overhead))
        peak = max(peak, cost.forward_bytes[owner], held + cost.forward_extra_bytes[owner])
    gradients = 0
    for owner in range(len(saved) - 1, -1, -1):
        if owner in trainable:
            gradients += cost.gradient_bytes[owner]
        if arrives[owner]:
            overhead = round(gradients * cost.gradient_overhead)
            peak = max(peak, held + gradients + overhead + cost.backward_bytes[owner])
        held -= round(saved[owner] * (1 + cost.saved_overhead))
    # A measured step also has a copy of the weights from before the update
    # (`engine.training.probe`), of the same size as the gradients.
    peak = max(peak, round(gradients * (2 + cost.gradient_overhead)))
    state = sum([cost.state_bytes[owner] for owner in trainable])
    return cost.fixed_bytes + state + peak
