"""Doing something often asked for at most once in a while, and never leaving the last time out."""

from __future__ import annotations

import time
from collections.abc import Callable

from textual.message_pump import MessagePump
from textual.timer import Timer


class Throttle:
    """Calls an action at once if the last time is long enough ago, else when it is."""

    def __init__(self, pump: MessagePump, interval: float, action: Callable[[], None]) -> None:
        """
        Args:
            pump: The app or widget that the action belongs to.
            interval: Least time between two calls, in seconds.
            action: What to do.
        """
        self._pump, self._interval, self._action = pump, interval, action
        self._last = float("-inf")
        self._timer: Timer | None = None

    def soon(self) -> None:
        """Have the action done now or within the interval."""
        wait = self._last + self._interval - time.monotonic()
        if wait <= 0:
            self.now()
        elif self._timer is None:
            self._timer = self._pump.set_timer(wait, self.now)

    def now(self) -> None:
        """Do the action now; what was waiting is done with it."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._last = time.monotonic()
        self._action()
