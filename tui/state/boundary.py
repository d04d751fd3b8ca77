"""The boundary: where the gradient stopped, or will stop, and how to say it."""

from __future__ import annotations

from dataclasses import dataclass

from tui.state.run_state import RunState


@dataclass(frozen=True)
class Boundary:
    """The wall stands right below one row: the lowest that the gradient reaches."""

    row: int | None
    """None: right below the loss. 0, the lowest row of all: below the images."""
    dashed: bool
    """It is a prediction, not a measurement."""
    says: str
    """What happened or will happen here."""
    compared: tuple[str, ...] = ()
    """When it was measured, or how it compares with the last step; a shorter form follows."""


def settled(state: RunState) -> bool:
    """The last measured step ran with the mask that is wanted now: it says all there is to say."""
    return state.measured is not None and frozenset(state.measured.mask) == state.wanted


def boundary_of(state: RunState) -> Boundary:
    """The measured wall if it still holds, else the predicted one. There must be a stack."""
    step = state.measured
    if step is not None and settled(state):
        row = state.lowest_reached(predicted=False)
        measured = (f"measured in step {step.step}", f"step {step.step}")
        if row is None and not step.mask:
            return Boundary(None, False, "nothing to train: loss computed, no gradient flows")
        if row is None:
            return Boundary(None, False, "no gradient arrived anywhere", measured)
        if row == 0:
            return Boundary(0, False, "the gradient went all the way down", measured)
        return Boundary(row, False, "gradient stopped here", measured)
    row = state.lowest_reached(predicted=True)
    before = _before(state, row)
    if row is None:
        return Boundary(None, True, "nothing to train: no gradient will flow", before)
    if row == 0:
        return Boundary(0, True, "the gradient will go all the way down", before)
    return Boundary(row, True, "gradient will stop here", before)


def _before(state: RunState, row: int | None) -> tuple[str, ...]:
    """How the last measured step compares with a prediction."""
    step = state.measured
    if step is None or state.session is None:
        return ()
    was = state.lowest_reached(predicted=False)
    if was == row:
        return (f"as in step {step.step}",)
    if was is None:
        return (f"none flowed in step {step.step}",)
    if row is None:
        return (f"step {step.step} reached {state.session.stack.rows[was].name}",)
    rows = abs(was - row)
    where = f"{'one row' if rows == 1 else f'{rows} rows'} {'higher' if was > row else 'lower'}"
    return (f"step {step.step} stopped {where}", f"step {step.step}: {where}")
