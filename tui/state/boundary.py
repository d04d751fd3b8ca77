"""The boundary: the lowest layer that the gradient reached or will reach."""

from __future__ import annotations

from dataclasses import dataclass

from tui.state.run_state import RunState


@dataclass(frozen=True)
class Boundary:
    """Where the gradient stops. The wall is drawn directly below `row`."""

    row: int | None
    """The lowest row that the gradient reaches; None if it reaches none."""
    predicted: bool
    """Whether this is a prediction for the next step and not a measurement."""
    trainable: bool
    """Whether anything is trainable in the step that this is about."""
    step: int | None
    """The number of the last measured step; None before the first."""
    step_row: int | None
    """The lowest row that the gradient reached in that step."""


def measured_with_wanted_mask(state: RunState) -> bool:
    """Return whether the last measured step ran with the mask that is wanted now."""
    return state.measured is not None and frozenset(state.measured.mask) == state.wanted


def boundary_of(state: RunState) -> Boundary:
    """Return the measured boundary if it is still valid, else the predicted one.

    There must be a stack.
    """
    step = state.measured
    number = step.step if step else None
    measured_row = state.lowest_reached(predicted=False) if step else None
    if step is not None and measured_with_wanted_mask(state):
        return Boundary(measured_row, False, bool(step.mask), number, measured_row)
    row = state.lowest_reached(predicted=True)
    return Boundary(row, True, row is not None, number, measured_row)
