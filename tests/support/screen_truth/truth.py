"""What is true of a simulated run: its moment, what runs, and what the screen can know."""

from __future__ import annotations

import math
from dataclasses import dataclass

EPOCH, HORIZON, PROBE = 4, 8, 3
"""Steps per epoch, steps of the schedule, and steps between two measured ones of a run."""
BATCH, YARDSTICK, VAL = 200, 150, 250
CLASSES = ("a", "b", "c", "d", "e")
YARDSTICK_MAJORITY, VAL_MAJORITY = 66, 110
Moment = tuple[int, int]
"""(start, step)."""


@dataclass
class Truth:
    """What is true of the run now."""

    run: int = 0
    """The number of the run; another one is opened in its place."""
    moment: Moment = (0, 0)
    running: bool = False
    began_at: Moment | None = None
    """The moment at which training began."""
    in_control: bool = True
    clients: int = 1
    connected: bool = True
    fold: int | None = None
    busy: str = ""
    measured: Moment | None = None
    """The last measured step that the screen knows."""
    stepped: bool = False
    """Whether the screen knows the last step."""
    applied: frozenset[int] | None = None
    wanted: frozenset[int] = frozenset()
    mask_by: str = ""
    """Who changed the mask last, as a sentence names them; empty if the screen cannot know."""
    undoable: bool = False
    """Whether a start over can be undone."""
    costed: bool = False

    @property
    def step(self) -> int:
        return self.moment[1]

    @property
    def idle(self) -> bool:
        """Whether t takes a step."""
        return self.connected and self.in_control and not self.running and self.fold is None

    @property
    def epoch(self) -> int:
        return max(1, math.ceil(self.step / EPOCH))
