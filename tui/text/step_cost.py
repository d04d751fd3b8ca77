"""The cost of a mask: trainable parameters, and the predicted time and memory of a step."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from tl_tui.estimates.cost_model import StepCostPrediction, predict_step_cost
from tui.state.cursor import Target
from tui.state.mask_edits import after_toggle
from tui.state.mask_undo import Mask
from tui.state.run_state import RunState
from tui.text.format import format_bytes, format_ms, format_params, signed

KEPT = 200
"""The number of cached predictions."""


@dataclass(frozen=True)
class StepCost:
    """The cost of a step with one mask. Time and memory are None until they were measured."""

    params: int
    """The number of trainable parameters."""
    step_ms: float | None = None
    peak_bytes: int | None = None
    """The peak memory of a step, in addition to what was in use before it."""


@dataclass(frozen=True)
class CostDifference:
    """The difference between two step costs as texts; time and memory may be empty."""

    params: str
    """Such as `+3.67 M`."""
    time: str = ""
    """Such as `+0.7 ms`."""
    memory: str = ""
    """Such as `+29 MB`."""


def step_cost_of(state: RunState, mask: Mask) -> StepCost:
    """Return the predicted cost of a step with a mask.

    The time is scaled to the last steps that executed every layer: the layers were measured one by
    one, perhaps while the machine had other work.
    """
    params = state.trainable_params(mask)
    if (predicted := _predicted(state, mask)) is None:
        return StepCost(params)
    ratios = [
        1000 * seconds / cost.step_ms
        for applied, seconds in state.results.step_times
        if (cost := _predicted(state, applied)) is not None and cost.step_ms > 0
    ]
    scale = statistics.median(ratios) if ratios else 1.0
    return StepCost(params, scale * predicted.step_ms, predicted.peak_bytes)


def _predicted(state: RunState, mask: Mask) -> StepCostPrediction | None:
    """Return the prediction from the measured cost of each layer; None before it is measured."""
    measured = state.results.step_cost
    if measured is None or state.stack is None or state.provisional:
        return None
    known = state.results.predicted_costs
    if (predicted := known.get(mask)) is None:
        if len(known) >= KEPT:
            known.clear()
        parents = [owner.parents for owner in state.stack.owners]
        predicted = known[mask] = predict_step_cost(measured, parents, mask)
    return predicted


def cost_difference(before: StepCost, after: StepCost) -> CostDifference:
    """Return how much more or less a step costs after a change of the mask."""
    time = memory = ""
    params = after.params - before.params
    if before.step_ms is not None and after.step_ms is not None:
        milliseconds = after.step_ms - before.step_ms
        time = signed(milliseconds, format_ms(abs(milliseconds)))
    if before.peak_bytes is not None and after.peak_bytes is not None:
        size = after.peak_bytes - before.peak_bytes
        memory = signed(size, format_bytes(abs(size)))
    return CostDifference(signed(params, format_params(abs(params))), time, memory)


def toggle_difference(state: RunState, target: Target) -> CostDifference:
    """Return how much more or less a step costs after space is pressed on a target."""
    mask = after_toggle(state, target).mask
    return cost_difference(step_cost_of(state, state.wanted), step_cost_of(state, mask))


def toggle_cost_text(state: RunState, target: Target) -> str:
    """Return what pressing space on a target does and costs: `thaw: +3.67 M · +29 MB`."""
    difference = toggle_difference(state, target)
    parts = [difference.params]
    if difference.time or difference.memory:
        parts += [part for part in (difference.time, difference.memory) if part]
    elif state.phase == "ready":
        parts.append("measuring its cost")
    return f"{after_toggle(state, target).action}: {' · '.join(parts)}"
