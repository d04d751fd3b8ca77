"""The queue of messages for one client; for a slow screen, newer states replace older ones."""

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

SOFT_LIMIT = 64
"""Messages above which newer states replace older ones, or a lossless client blocks the engine."""
HARD_LIMIT = 10_000
"""Messages above which a client counts as not reading any more and is disconnected."""


def _state_key(event: AnyEvent) -> Hashable | None:
    """Return the state that an event is the newest value of; None if every event must arrive."""
    match event:
        case Heartbeat():
            return "heartbeat"
        case LoadingProgressed():
            return "loading", event.stage
        case StepTaken():
            # A plain step must not replace the last measured one.
            return "step", bool(event.rows)
        case Validated():
            return "validated", event.yardstick
        case ImageSkipped(lost_class=""):
            return "skipped"
        case FoldProgressed():
            return "fold"
        case LrRangeTested():
            return "range test"
        case WeightDriftMeasured():
            return "weight drift"
        case StepCostMeasured():
            return "step cost"
        case CheckpointSaved(failure=""):
            return "checkpoint", event.name
    return None


class SendQueue:
    """The messages for one client, in order. Any thread may add; one thread removes."""

    def __init__(self, *, lossless: bool) -> None:
        """
        Args:
            lossless: Deliver every event; a producer may block in `wait_for_room`.
        """
        self.lossless = lossless
        self._pending: deque[tuple[Hashable | None, bytes]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._released = False
        self.finished = False
        """Whether the pending messages are the last ones."""

    def put(self, event: AnyEvent) -> bool:
        """Add an event without blocking.

        Returns:
            False if the client has stopped reading: more than `HARD_LIMIT` messages are pending.
        """
        key, message = _state_key(event), encode(event)
        with self._changed:
            if self._closed:
                return True
            if not self.lossless and key is not None and len(self._pending) >= SOFT_LIMIT:
                kept = [entry for entry in self._pending if entry[0] != key]
                self._pending = deque(kept)
            self._pending.append((key, message))
            return self.lossless or len(self._pending) <= HARD_LIMIT

    def wait_for_room(self) -> None:
        """Block a producer of events until a lossless client has caught up."""
        if self.lossless:
            with self._changed:
                self._changed.wait_for(self._has_room)

    def _has_room(self) -> bool:
        return self._closed or self._released or len(self._pending) < SOFT_LIMIT

    def get(self) -> bytes | None:
        """Remove and return the next framed message; None if the queue is empty."""
        with self._changed:
            message = self._pending.popleft()[1] if self._pending else None
            self._changed.notify_all()
            return message

    def release(self) -> None:
        """Unblock producers for good, because the engine is about to end."""
        with self._changed:
            self._released = True
            self._changed.notify_all()

    def finish(self) -> None:
        """Mark the pending messages as the last ones."""
        self.finished = True

    def close(self) -> None:
        """Drop all messages and unblock producers, because the client is disconnected."""
        with self._changed:
            self._closed = True
            self._pending.clear()
            self._changed.notify_all()
