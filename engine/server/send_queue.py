"""What one client has still to be sent: everything, or for a slow screen the latest state."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable

from tl_tui.protocol.checks import (
    FoldProgressed,
    LrRangeTested,
    StepCostMeasured,
    WeightDriftMeasured,
)
from tl_tui.protocol.events import AnyEvent, Heartbeat
from tl_tui.protocol.framing import encode
from tl_tui.protocol.session import LoadingProgressed
from tl_tui.protocol.training import CheckpointSaved, ImageSkipped, StepTaken, Validated

ROOM = 64
"""Messages that may wait; beyond, a screen's older states give way and a log's engine waits."""
MOST = 10_000
"""Messages that cannot give way; a client with more of them does not read any more."""


def _state(event: AnyEvent) -> Hashable | None:
    """What an event is a newer state of; None if every such event has to arrive."""
    match event:
        case Heartbeat():
            return "heartbeat"
        case LoadingProgressed():
            return "loading", event.stage
        case StepTaken():
            return "step", bool(event.rows)  # a plain step must not hide the last measurement
        case Validated():
            return "validated", event.yardstick
        case ImageSkipped(lost_class=""):
            return "skipped"
        case FoldProgressed():
            return "fold"
        case LrRangeTested():
            return "range test"
        case WeightDriftMeasured():
            return "moved"
        case StepCostMeasured():
            return "price"
        case CheckpointSaved(failure=""):
            return "checkpoint", event.name
    return None


class SendQueue:
    """The messages for one client, in order. Filled by any thread, emptied by one."""

    def __init__(self, *, lossless: bool) -> None:
        """
        Args:
            lossless: Nothing gives way; who fills it may wait for room.
        """
        self.lossless = lossless
        self._waiting: deque[tuple[Hashable | None, bytes]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._released = False
        self.finished = False
        """Nothing more will come."""

    def put(self, event: AnyEvent) -> bool:
        """Add an event; never waits. False if the client does not read any more."""
        state, message = _state(event), encode(event)
        with self._changed:
            if self._closed:
                return True
            if not self.lossless and state is not None and len(self._waiting) >= ROOM:
                kept = [entry for entry in self._waiting if entry[0] != state]
                self._waiting = deque(kept)
            self._waiting.append((state, message))
            return self.lossless or len(self._waiting) <= MOST

    def wait_for_room(self) -> None:
        """Wait until a lossless client has caught up; for who produces, not for who sends."""
        if self.lossless:
            with self._changed:
                self._changed.wait_for(self._has_room)

    def _has_room(self) -> bool:
        return self._closed or self._released or len(self._waiting) < ROOM

    def take(self) -> bytes | None:
        """The next message with its length before it; None if there is none."""
        with self._changed:
            message = self._waiting.popleft()[1] if self._waiting else None
            self._changed.notify_all()
            return message

    def release(self) -> None:
        """Nobody has to wait for room any more: the engine is to end."""
        with self._changed:
            self._released = True
            self._changed.notify_all()

    def finish(self) -> None:
        """What waits is the last."""
        self.finished = True

    def close(self) -> None:
        """Nobody reads any more: nobody has to wait."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
