"""What a mask costs: parameters to train, and the predicted time and memory of a step."""

from __future__ import annotations

from dataclasses import dataclass

from tl_tui.estimates.cost_model import predict_step_cost
from tui.state.cursor import Target
from tui.state.mask_edits import after_toggle
from tui.state.mask_undo import Mask
from tui.state.run_state import RunState
from tui.text.format import format_bytes, format_ms, format_params, signed

KEPT = 200
"""Predictions that are kept, for a screen that asks for the same ones again and again."""


@dataclass(frozen=True)
class StepCost:
    """Of one mask; time and memory are None until the probe was measured."""

    params: int
    step_ms: float | None = None
    peak_bytes: int | None = None
    """The most memory in use at any moment of a step, over what was in use before."""


def step_cost_of(state: RunState, mask: Mask) -> StepCost:
    """The predicted price of a step with a mask."""
    params, measured = state.trainable_params(mask), state.results.price
    if measured is None or state.stack is None or state.provisional:
        return StepCost(params)
    known = state.results.predicted_prices
    if (predicted := known.get(mask)) is None:
        if len(known) >= KEPT:
            known.clear()
        parents = [owner.parents for owner in state.stack.owners]
        predicted = known[mask] = predict_step_cost(measured, parents, mask)
    return StepCost(params, predicted.step_ms, predicted.peak_bytes)


def cost_differences(before: StepCost, after: StepCost) -> list[str]:
    """What another mask costs more or less: `+3.67 M`, `+0.7 ms`, `+29 MB`."""
    params = after.params - before.params
    said = [signed(params, format_params(abs(params)))]
    if None not in (before.step_ms, after.step_ms):
        assert before.step_ms is not None and after.step_ms is not None
        more = after.step_ms - before.step_ms
        said.append(signed(more, format_ms(abs(more))))
    if None not in (before.peak_bytes, after.peak_bytes):
        assert before.peak_bytes is not None and after.peak_bytes is not None
        extra = after.peak_bytes - before.peak_bytes
        said.append(signed(extra, format_bytes(abs(extra))))
    return said


def toggle_cost(state: RunState, target: Target) -> str:
    """What the next toggle of a target costs: `thaw: +3.67 M · +0.7 ms · +29 MB`."""
    mask, what = after_toggle(state, target)
    said = cost_differences(step_cost_of(state, state.wanted), step_cost_of(state, mask))
    if len(said) == 1 and state.phase == "ready":
        said.append("measuring its price")
    return f"{what.partition(' ')[0]}: {' · '.join(said)}"
