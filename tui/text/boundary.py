"""Sentences about the boundary: where the gradient stops, and how that differs from before."""

from __future__ import annotations

from tl_tui.protocol.layers import StackInfo
from tui.state.boundary import Boundary


def boundary_sentence(boundary: Boundary, layer: str = "") -> str:
    """Return what happened at the boundary or what the next step will do there.

    Args:
        boundary: The boundary.
        layer: The name of its row, if the sentence is not shown directly below that row.
    """
    if boundary.row is None and not boundary.trainable:
        if boundary.predicted:
            return "nothing to train: no gradient will flow"
        return "nothing to train: loss computed, no gradient flows"
    if boundary.row is None:
        return "no gradient arrived anywhere"
    if boundary.row == 0:
        goes = "will go" if boundary.predicted else "went"
        return f"the gradient {goes} all the way down"
    stops = "will stop" if boundary.predicted else "stopped"
    return f"gradient {stops} {f'below {layer}' if layer else 'here'}"


def boundary_comparison(boundary: Boundary, stack: StackInfo) -> tuple[str, ...]:
    """Return when the boundary was measured, or how it differs from the last measured step.

    Returns:
        The same remark in several lengths, longest first; empty if there is nothing to add.
    """
    step, before, row = boundary.step, boundary.step_row, boundary.row
    if step is None:
        return ()
    if not boundary.predicted:
        return (f"measured in step {step}", f"step {step}")
    if before == row:
        return (f"as in step {step}",)
    if before is None:
        return (f"none flowed in step {step}",)
    if row is None:
        return (f"step {step} reached {stack.rows[before].name}",)
    rows = abs(before - row)
    distance = "one row" if rows == 1 else f"{rows} rows"
    difference = f"{distance} {'higher' if before > row else 'lower'}"
    return (f"step {step} stopped {difference}", f"step {step}: {difference}")
