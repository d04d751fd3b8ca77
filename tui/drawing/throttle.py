"""Limiting how often an action runs, without losing the last request."""

from __future__ import annotations

import time
from collections.abc import Callable

from textual.message_pump import MessagePump
from textual.timer import Timer


class Throttle:
    """Runs an action at most once per interval. Requests within an interval run at its end."""

    def __init__(self, pump: MessagePump, interval: float, action: Callable[[], None]) -> None:
        """
        Args:
            pump: The app or widget whose timers are used.
            interval: The shortest time between two runs, in seconds.
            action: The action to run.
        """
        self._pump, self._interval, self._action = pump, interval, action
        self._last = float("-inf")
        self._timer: Timer | None = None

    def soon(self) -> None:
        """Run the action now, or at the end of the current interval."""
        wait = self._last + self._interval - time.monotonic()
        if wait <= 0:
            self.now()
        elif self._timer is None:
            self._timer = self._pump.set_timer(wait, self.now)

    def now(self) -> None:
        """Run the action now, instead of any waiting request."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._last = time.monotonic()
        self._action()
