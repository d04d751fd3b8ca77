"""The status of one layer: whether it is trainable, and what the last measured step did to it.

The tower draws it as a brick: the edges show the mask, the middle shows the measurement.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tl_tui.estimates.gradient_reach import combine_reach
from tl_tui.protocol.layers import Reach, StackInfo
from tl_tui.protocol.training import LayerMeasurement, StepTaken
from tui.state.cursor import Target, target_owners
from tui.state.run_state import RunState, Trainable

VANISHED = 1e-9
"""Gradient norms below this count as vanished: multiplied by any usual learning rate they are far
smaller than the resolution of a float32 weight."""

MANY, SOME = 1e-1, 1e-3
"""Gradient norms from which a brick shows three dots, and two dots; below them it shows one."""

Middle = Literal[
    "closed", "cached", "open", "updated", "passed", "vanished", "nonfinite", "cut off"
]

Glow = Literal["head", "trail", "faint"]


@dataclass(frozen=True)
class GradientFlow:
    """The middle of a brick."""

    kind: Middle
    dots: int = 0
    """The number of dots, 1 to 3, where a gradient is shown."""
    glow: Glow = "trail"
    """Brightness in a replay: the pulse itself, the trail behind it, or older."""

    @property
    def reached(self) -> bool:
        """Whether the gradient reached this layer."""
        return self.kind in ("updated", "passed", "vanished", "nonfinite")


@dataclass(frozen=True)
class LayerStatus:
    """The status of a row, an owner or a collapsed stage."""

    wanted: Trainable
    pending: bool
    """Whether the wanted mask differs from the mask of the last step."""
    share: str
    """The trainable share of its owners, such as `2/4`, or in per cent."""
    flow: GradientFlow
    measurement: LayerMeasurement | None
    """What the last measured step did; None before the first."""
    resting: bool
    """Whether it received a gradient and did not change, as with a learning rate of 0."""
    dim: bool
    """Whether the gradient did not reach it."""
    rate: float
    """Its current learning rate, with the schedule's factor."""
    stale: bool = False
    """Whether the wanted mask differs from the mask of the last measured step, so that the
    measurement describes the earlier mask."""
    by_hand: bool = False
    """Whether its base rate was set by hand."""
    thaws_in: int | None = None
    """The epoch in which the plan begins to train it; None if it does not, or trains already."""


def measurement_of(stack: StackInfo, step: StepTaken, target: Target) -> LayerMeasurement | None:
    """Return what a step did at a target; None if the step was not measured.

    A stage's measurement is computed from its rows and owners. The norm over the parameters of
    several layers is the root of the sum of their squared norms.
    """
    if not step.rows:
        return None
    if target.kind == "row":
        return step.rows[target.index]
    if target.kind == "owner":
        return step.owners[target.index]
    stage = stack.stages[target.index]
    rows = step.rows[stage.first_row : stage.end_row]
    first, end = stack.rows[stage.first_row].first_owner, stack.rows[stage.end_row - 1].end_owner
    moved = [owner for owner in step.owners[first:end] if owner.update_ratio is not None]
    weights = _norm(owner.weight_norm for owner in moved)
    changes = _norm((owner.update_ratio or 0.0) * owner.weight_norm for owner in moved)
    norms = [row.grad_norm for row in rows if row.grad_norm is not None]
    arrivals = [row.arrival_ms for row in rows if row.arrival_ms is not None]
    return LayerMeasurement(
        combine_reach(row.reach for row in rows),
        _norm(norms) if norms else None,
        _norm(row.weight_norm for row in rows),
        changes / weights if weights else None,
        sum(row.nonfinite for row in rows),
        min(arrivals, default=None),
    )


def _norm(values: Iterable[float]) -> float:
    return math.sqrt(sum(value * value for value in values))


def gradient_flow(measurement: LayerMeasurement, trainable: bool) -> GradientFlow:
    """Return the middle of a brick.

    Args:
        measurement: What a measured step did at the layer.
        trainable: Whether any part of the layer was trainable in that step. Distinguishes a layer
            that should have been reached and was not from a frozen one.
    """
    norm = measurement.grad_norm
    if measurement.nonfinite or (norm is not None and not math.isfinite(norm)):
        return GradientFlow("nonfinite", 3)
    if measurement.reach == "updated":
        if norm is None or norm < VANISHED:
            return GradientFlow("vanished", 1)
        return GradientFlow("updated", 3 if norm >= MANY else 2 if norm >= SOME else 1)
    if measurement.reach == "passed":
        # Always two dots: no norm is measured where no parameter receives a gradient.
        return GradientFlow("passed", 2)
    return GradientFlow("cut off", 1) if trainable else GradientFlow("closed")


def layer_status(state: RunState, target: Target) -> LayerStatus:
    """Return the status of a target. There must be a stack."""
    assert state.session is not None
    stack = state.session.stack
    owners = target_owners(state, target)
    wanted = state.trainable(owners)
    step = state.measured
    measurement = measurement_of(stack, step, target) if step else None
    rate = rate_of(state, target)
    by_hand = any(state.training.by_hand(row) for row in target_rows(stack, target))
    thaws_in = state.training.thaws_in_epoch(owners, state.step) if wanted == "none" else None
    if step is None or measurement is None:
        predicted: Reach = state.predicted(owners)
        flow = GradientFlow("closed" if predicted == "unreached" else "open")
        share = _share(owners, state)
        return LayerStatus(
            wanted,
            False,
            share,
            flow,
            None,
            False,
            False,
            rate,
            by_hand=by_hand,
            thaws_in=thaws_in,
        )
    applied = frozenset(step.mask)
    was_trainable = state.trainable(owners, applied)
    stale = any((owner in applied) != (owner in state.wanted) for owner in owners)
    last_mask = state.applied if state.applied is not None else applied
    pending = any((owner in last_mask) != (owner in state.wanted) for owner in owners)
    flow = gradient_flow(measurement, was_trainable != "none")
    if flow.kind == "closed" and wanted != "none":
        flow = GradientFlow("open")
    elif flow.kind == "closed" and target_rows(stack, target)[-1] < step.cached_rows:
        flow = GradientFlow("cached")
    return LayerStatus(
        wanted,
        pending,
        _share(owners, state),
        flow,
        measurement,
        resting=flow.kind == "updated" and measurement.update_ratio == 0 and rate == 0,
        dim=measurement.reach == "unreached",
        rate=rate,
        stale=stale,
        by_hand=by_hand,
        thaws_in=thaws_in,
    )


def target_rows(stack: StackInfo, target: Target) -> range:
    """Return the rows of a target: all rows of a stage, or the row that contains an owner."""
    if target.kind == "stage":
        stage = stack.stages[target.index]
        return range(stage.first_row, stage.end_row)
    row = stack.owners[target.index].row if target.kind == "owner" else target.index
    return range(row, row + 1)


def rate_of(state: RunState, target: Target) -> float:
    """Return the learning rate of a target, or the one it will have once it is thawed."""
    assert state.session is not None
    rows = target_rows(state.session.stack, target)
    return state.training.rates[rows[-1]] * state.training.factor(state.step)


def _share(owners: range, state: RunState) -> str:
    count, total = sum(owner in state.wanted for owner in owners), len(owners)
    text = f"{count}/{total}"
    # The column has room for `part 2/4`; larger counts are shown in per cent.
    return text if len(text) <= 3 else f"{min(99, max(1, round(100 * count / total)))}%"
