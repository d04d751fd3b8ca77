"""The measured backward pass of one step in slow motion."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

from tl_tui.protocol.layers import StackInfo
from tl_tui.protocol.training import LayerMeasurement, StepTaken
from tui.state.cursor import Target
from tui.state.layer_status import Glow, GradientFlow, gradient_flow, measurement_of
from tui.text.format import format_factor

LENGTH = 1.2
"""The duration of a replay in seconds, for any model."""

FRAMES = 15
"""Frames per second."""

TRAIL = 3
"""The number of rows behind the pulse that are brighter than the rest of its trail."""


@dataclass(frozen=True)
class Frame:
    """One moment of a replay."""

    lit: dict[Target, GradientFlow]
    """The bricks that the gradient has reached by now."""
    known: frozenset[Target]
    """All bricks that this replay will light."""

    def flow(self, target: Target, final: GradientFlow) -> GradientFlow:
        """Return the middle of a brick at this moment.

        Args:
            target: The layer of the brick.
            final: The middle of the brick when no replay is running.
        """
        if target in self.lit:
            return self.lit[target]
        return GradientFlow("open") if target in self.known or final.reached else final


class Replay:
    """The backward pass of one step, stretched to the same duration for any model.

    Order, timing, brightness and reach are taken from the step's measurements only.
    """

    def __init__(self, stack: StackInfo, step: StepTaken, slower: int = 1) -> None:
        """
        Args:
            stack: The stack.
            step: A measured step.
            slower: How many times slower than a usual replay.
        """
        self.step = step
        self.length = LENGTH * slower
        """The duration in seconds."""
        self.times: dict[Target, float] = {}
        """When each brick is lit, in seconds from the start, in this order."""
        self._flows: dict[Target, GradientFlow] = {}

        arrivals: list[tuple[float, int, Target]] = []
        for target, order in _targets(stack):
            measurement = measurement_of(stack, step, target)
            if measurement is None or not _arrived(measurement):
                continue
            assert measurement.arrival_ms is not None
            arrivals.append((measurement.arrival_ms, -order, target))
            # `trainable` only matters for layers that were not reached.
            self._flows[target] = gradient_flow(measurement, trainable=False)
        arrivals.sort(key=lambda arrival: arrival[:2])
        if arrivals:
            first, last = arrivals[0][0], arrivals[-1][0]
            whole = max(step.backward_ms or 0.0, last)
            for number, (arrival, _, target) in enumerate(arrivals):
                # On a device without times all are equal; the order is still known.
                share = arrival / whole if last > first else number / len(arrivals)
                self.times[target] = self.length * share
        self._row_times = sorted(
            time for target, time in self.times.items() if target.kind == "row"
        )

    def frame(self, seconds: float) -> Frame:
        """Return the frame at a time after the start."""
        lit: dict[Target, GradientFlow] = {}
        now = bisect_right(self._row_times, seconds)
        for target, time in self.times.items():
            if time > seconds:
                break
            behind = now - bisect_right(self._row_times, time)
            glow: Glow = "head" if behind <= 0 else "trail" if behind <= TRAIL else "faint"
            lit[target] = replace(self._flows[target], glow=glow)
        return Frame(lit, frozenset(self._flows))

    def flash(self) -> Frame:
        """Return a frame with all reached bricks bright, for steps in quick succession."""
        lit = {target: replace(flow, glow="head") for target, flow in self._flows.items()}
        return Frame(lit, frozenset(lit))

    def label(self) -> str:
        """Return how the replay's speed compares with the measured one."""
        measured = self.step.backward_ms
        if not measured:
            return "replay in the measured order"
        factor = self.length * 1000 / measured
        comparison = "slower"
        if factor < 1:
            factor, comparison = 1 / factor, "faster"
        return f"replay ×{format_factor(factor)} {comparison} than it ran"


def _arrived(measurement: LayerMeasurement) -> bool:
    return measurement.reach != "unreached" and measurement.arrival_ms is not None


def _targets(stack: StackInfo) -> list[tuple[Target, int]]:
    """Return all bricks that may be lit, with a number that grows in execution order."""
    targets: list[tuple[Target, int]] = []
    for number, stage in enumerate(stack.stages):
        targets.append((Target("stage", number), stack.rows[stage.end_row - 1].end_owner))
    for number, row in enumerate(stack.rows):
        targets.append((Target("row", number), row.end_owner))
    for number in range(len(stack.owners)):
        targets.append((Target("owner", number), number))
    return targets
