"""What a mask costs: parameters to train, and the predicted time and memory of a step."""

from __future__ import annotations

from dataclasses import dataclass

from tl_tui.common.cost_model import predict
from tui.state.cursor import Target
from tui.state.mask_edits import after_toggle
from tui.state.run_state import Mask, RunState
from tui.widgets.strategy_line import amount

KEPT = 200
"""Predictions that are kept, for a screen that asks for the same ones again and again."""


@dataclass(frozen=True)
class Price:
    """Of one mask; time and memory are None until the probe was measured."""

    params: int
    step_ms: float | None = None
    peak_bytes: int | None = None
    """The most memory in use at any moment of a step, over what was in use before."""


def price_of(state: RunState, mask: Mask) -> Price:
    """The predicted price of a step with a mask."""
    params, measured = state.trainable_params(mask), state.findings.price
    if measured is None or state.stack is None or state.provisional:
        return Price(params)
    known = state.findings.predicted_prices
    if (predicted := known.get(mask)) is None:
        if len(known) >= KEPT:
            known.clear()
        parents = [owner.parents for owner in state.stack.owners]
        predicted = known[mask] = predict(measured, parents, mask)
    return Price(params, predicted.step_ms, predicted.peak_bytes)


def duration(milliseconds: float) -> str:
    """Such as `9.8 ms`, `388 ms`, `1.24 s`."""
    if milliseconds >= 999.5:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds:.{1 if milliseconds < 99.95 else 0}f} ms"


def size(count: float) -> str:
    """Bytes in decimal units: `940 kB`, `29 MB`, `1.35 GB`."""
    if count < 999.5e3:
        return f"{count / 1e3:.0f} kB"
    if count < 999.5e6:
        return f"{count / 1e6:.{1 if count < 9.95e6 else 0}f} MB"
    return f"{count / 1e9:.2f} GB"


def signed(value: float, words: str) -> str:
    """A difference with its sign, given the words of its size: `+29 MB`, `-0.7 ms`."""
    return f"{'-' if value < 0 else '+'}{words}"


def share(before: float, after: float) -> str:
    """A difference in per cent: `+11 %`, `0 %`."""
    percent = round(100 * (after / before - 1)) if before > 0 else 0
    return f"{signed(percent, str(abs(percent)))} %" if percent else "0 %"


def differences(before: Price, after: Price) -> list[str]:
    """What another mask costs more or less: `+3.67 M`, `+0.7 ms`, `+29 MB`."""
    params = after.params - before.params
    said = [signed(params, amount(abs(params)))]
    if None not in (before.step_ms, after.step_ms):
        assert before.step_ms is not None and after.step_ms is not None
        more = after.step_ms - before.step_ms
        said.append(signed(more, duration(abs(more))))
    if None not in (before.peak_bytes, after.peak_bytes):
        assert before.peak_bytes is not None and after.peak_bytes is not None
        extra = after.peak_bytes - before.peak_bytes
        said.append(signed(extra, size(abs(extra))))
    return said


def toggle_words(state: RunState, target: Target) -> str:
    """What the next toggle of a target costs: `thaw: +3.67 M · +0.7 ms · +29 MB`."""
    mask, what = after_toggle(state, target)
    said = differences(price_of(state, state.wanted), price_of(state, mask))
    if len(said) == 1 and state.phase == "ready":
        said.append("measuring its price")
    return f"{what.partition(' ')[0]}: {' · '.join(said)}"
