"""The measured backward pass in slow motion.

Order, timing, density and reach come from one step's measurements and from nothing else.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

from tl_tui.protocol.layers import StackInfo
from tl_tui.protocol.training import LayerMeasurement, StepTaken
from tui.state.cursor import Target
from tui.state.layer_status import Glow, GradientFlow, gradient_flow, measurement_of

LENGTH = 1.2
"""Seconds that a replay lasts, whatever the model."""

FRAMES = 15
"""Frames a second."""

TRAIL = 3
"""How many rows behind the pulse glow before its trail grows faint."""


@dataclass(frozen=True)
class Frame:
    """One moment of a replay."""

    lit: dict[Target, GradientFlow]
    """What has been reached by now."""
    known: frozenset[Target]
    """Everything that will be lit in this replay."""

    def flow(self, target: Target, standing: GradientFlow) -> GradientFlow:
        """The middle of a brick at this moment.

        Args:
            target: The brick's.
            standing: What it shows when no replay is running.
        """
        if target in self.lit:
            return self.lit[target]
        return GradientFlow("open") if target in self.known or standing.reached else standing


class Replay:
    """One step's backward pass, stretched to the same length whatever the model."""

    def __init__(self, stack: StackInfo, step: StepTaken, slower: int = 1) -> None:
        """Lay out when each brick is lit.

        Args:
            stack: The stack.
            step: A measured step.
            slower: How many times slower than a usual replay.
        """
        self.step = step
        self.length = LENGTH * slower
        """Seconds."""
        self.times: dict[Target, float] = {}
        """When each brick is lit, in seconds from the replay's start, in the order of lighting."""
        self._channels: dict[Target, GradientFlow] = {}

        arrivals: list[tuple[float, int, Target]] = []
        for target, place in _targets(stack):
            measurement = measurement_of(stack, step, target)
            if measurement is None or not _arrived(measurement):
                continue
            assert measurement.arrival_ms is not None
            arrivals.append((measurement.arrival_ms, -place, target))
            # The second argument only matters for layers that were not reached.
            self._channels[target] = gradient_flow(measurement, trainable=False)
        arrivals.sort(key=lambda arrival: arrival[:2])
        if arrivals:
            first, last = arrivals[0][0], arrivals[-1][0]
            whole = max(step.backward_ms or 0.0, last)
            for number, (arrival, _, target) in enumerate(arrivals):
                # A device that tells no times (all are the same) still tells the order.
                share = arrival / whole if last > first else number / len(arrivals)
                self.times[target] = self.length * share
        self._row_times = sorted(
            time for target, time in self.times.items() if target.kind == "row"
        )

    def frame(self, seconds: float) -> Frame:
        """What is lit so many seconds after the replay's start."""
        lit: dict[Target, GradientFlow] = {}
        now = bisect_right(self._row_times, seconds)
        for target, time in self.times.items():
            if time > seconds:
                break
            behind = now - bisect_right(self._row_times, time)
            glow: Glow = "head" if behind <= 0 else "trail" if behind <= TRAIL else "faint"
            lit[target] = replace(self._channels[target], glow=glow)
        return Frame(lit, frozenset(self._channels))

    def flash(self) -> Frame:
        """Everything that was reached, bright: for steps that come faster than a replay."""
        lit = {target: replace(made, glow="head") for target, made in self._channels.items()}
        return Frame(lit, frozenset(lit))

    def label(self) -> str:
        """How the replay's speed compares with the measured one, in words."""
        real = self.step.backward_ms
        if not real:
            return "replay in the measured order"
        factor = self.length * 1000 / real
        word = "slower"
        if factor < 1:
            factor, word = 1 / factor, "faster"
        number = f"{factor:.0f}" if factor >= 9.95 else f"{factor:.1f}"
        return f"replay ×{number} {word} than it ran"


def _arrived(measurement: LayerMeasurement) -> bool:
    return measurement.reach != "unreached" and measurement.arrival_ms is not None


def _targets(stack: StackInfo) -> list[tuple[Target, int]]:
    """Everything that may be lit, with its place in execution order."""
    found: list[tuple[Target, int]] = []
    for number, stage in enumerate(stack.stages):
        found.append((Target("stage", number), stack.rows[stage.end_row - 1].end_owner))
    for number, row in enumerate(stack.rows):
        found.append((Target("row", number), row.end_owner))
    for number in range(len(stack.owners)):
        found.append((Target("owner", number), number))
    return found
