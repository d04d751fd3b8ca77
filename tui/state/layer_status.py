"""What one brick of the tower says: the choice at its edges, the measurement in its middle."""

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
"""A gradient norm below this teaches nothing: times any sane learning rate it lies far below what
a float32 weight can resolve."""

MANY, SOME = 1e-1, 1e-3
"""Gradient norms from which on three dots, and two, run through a brick; below them one."""

Middle = Literal[
    "closed", "cached", "open", "updated", "passed", "vanished", "nonfinite", "cut off"
]

Glow = Literal["head", "trail", "faint"]


@dataclass(frozen=True)
class GradientFlow:
    """The middle of a brick."""

    kind: Middle
    dots: int = 0
    """How many, 1 to 3, where gradient is shown."""
    glow: Glow = "trail"
    """How bright: the pulse itself, the trail right behind it, what it left long ago."""

    @property
    def reached(self) -> bool:
        """Gradient came here."""
        return self.kind in ("updated", "passed", "vanished", "nonfinite")


@dataclass(frozen=True)
class LayerStatus:
    """One line's state: the wanted mask, and what the last measured step did."""

    wanted: Trainable
    pending: bool
    """The wish differs from the mask that the last step ran with."""
    share: str
    """How much of it is wanted trainable if only a part is: `2/4`, or in percent."""
    flow: GradientFlow
    measurement: LayerMeasurement | None
    resting: bool
    """It received a gradient and did not move: its learning rate is 0."""
    dim: bool
    """The gradient did not reach it."""
    rate: float
    """Its learning rate now, the schedule's factor included."""
    stale: bool = False
    """The wish differs from the mask of the last measured step: its numbers tell of before."""
    by_hand: bool = False
    """Its base rate is not the one that the recipe gives it."""
    thaws_in: int | None = None
    """The epoch in which the plan begins to train it, if it is frozen until then."""


def measurement_of(stack: StackInfo, step: StepTaken, target: Target) -> LayerMeasurement | None:
    """What a measured step did at a target; None if the step was not measured.

    A stage's is put together from its rows' and owners': norms are roots of sums of squares, which
    is what the norm over all of its parameters is.
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
    """The middle of a brick, from what was measured there.

    Args:
        measurement: Of one measured step.
        trainable: Something of it was trainable in that step: only tells a layer that should have
            been reached and was not from one that was frozen.
    """
    norm = measurement.grad_norm
    if measurement.nonfinite or (norm is not None and not math.isfinite(norm)):
        return GradientFlow("nonfinite", 3)
    if measurement.reach == "updated":
        if norm is None or norm < VANISHED:
            return GradientFlow("vanished", 1)
        return GradientFlow("updated", 3 if norm >= MANY else 2 if norm >= SOME else 1)
    if measurement.reach == "passed":
        # Two hollow dots, always: no norm is measured where no parameter receives a gradient.
        return GradientFlow("passed", 2)
    return GradientFlow("cut off", 1) if trainable else GradientFlow("closed")


def layer_status(state: RunState, target: Target) -> LayerStatus:
    """The state of a target's brick. There must be a stack."""
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
    was = state.trainable(owners, applied)
    stale = any((owner in applied) != (owner in state.wanted) for owner in owners)
    ran = state.applied if state.applied is not None else applied
    pending = any((owner in ran) != (owner in state.wanted) for owner in owners)
    flow = gradient_flow(measurement, was != "none")
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
    """The rows whose learning rates a target has: a stage's are several, a part has its row's."""
    if target.kind == "stage":
        stage = stack.stages[target.index]
        return range(stage.first_row, stage.end_row)
    row = stack.owners[target.index].row if target.kind == "owner" else target.index
    return range(row, row + 1)


def rate_of(state: RunState, target: Target) -> float:
    """The learning rate a target has, or will have when it is thawed."""
    assert state.session is not None
    rows = target_rows(state.session.stack, target)
    return state.training.rates[rows[-1]] * state.training.factor(state.step)


def _share(owners: range, state: RunState) -> str:
    count, total = sum(owner in state.wanted for owner in owners), len(owners)
    text = f"{count}/{total}"
    # The column holds `part 2/4`; a stage of many owners says it in percent.
    return text if len(text) <= 3 else f"{min(99, max(1, round(100 * count / total)))}%"
