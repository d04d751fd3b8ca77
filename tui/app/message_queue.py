"""The queue of short messages: one is shown at a time, for as long as it takes to read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from textual.message_pump import MessagePump
from textual.timer import Timer

HISTORY_LENGTH = 200
"""The number of messages kept for the list of past messages."""
QUEUE_LENGTH = 20
"""The number of messages that can wait; beyond it the oldest are dropped."""


class MessageQueue:
    """Shows short messages to the user, one at a time."""

    def __init__(self, pump: MessagePump, show: Callable[[str], None]) -> None:
        """
        Args:
            pump: The app, whose timers end a message.
            show: Displays a message, or clears the message line if the message is empty.
        """
        self._pump, self._show = pump, show
        self._waiting: deque[str] = deque(maxlen=QUEUE_LENGTH)
        self._timer: Timer | None = None
        self._current = ""
        """The message on the screen while the timer runs."""
        self._pinned: list[str] = []
        self.history: deque[str] = deque(maxlen=HISTORY_LENGTH)
        """All recent messages, the oldest first."""

    def show_now(self, message: str) -> None:
        """Show a message at once, in place of the current one."""
        self.history.append(message)
        self._start(message)

    def enqueue(self, message: str) -> None:
        """Show a message after those that are already waiting."""
        self.history.append(message)
        if self._timer is None:
            self._start(message)
        else:
            self._waiting.append(message)

    def pin(self, message: str) -> None:
        """Show a message until the user dismisses it; other messages cover it for a while."""
        self.history.append(message)
        if message not in self._pinned:
            self._pinned.append(message)
        if self._timer is None:
            self._next()

    def record(self, message: str) -> None:
        """Add a message that is displayed elsewhere to the history, unless it is the last one."""
        if message and message not in self.history:
            self.history.append(message)

    def dismiss(self) -> bool:
        """Remove the message on the screen and return whether there was one."""
        shown = bool(self._pinned) or self._timer is not None
        if self._timer is None:
            self._pinned = self._pinned[1:]
        self._next()
        return shown

    def clear(self) -> None:
        """Drop the current message and those waiting; pinned messages and the history stay."""
        self._waiting.clear()
        self._next()

    def clear_all(self) -> None:
        """Drop every message, the pinned ones included; the history stays."""
        self._pinned.clear()
        self.clear()

    def refresh(self) -> None:
        """Show the current message again, after the screen that displayed it has closed."""
        if self._timer is not None:
            self._show(self._current)
        else:
            self._next()

    def _start(self, message: str) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._current = message
        self._show(message)
        self._timer = self._pump.set_timer(2.5 + len(message) / 25, self._next)

    def _next(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._waiting:
            self._start(self._waiting.popleft())
        elif self._pinned:
            self._show(f"(Esc to dismiss) {self._pinned[0]}")
        else:
            self._show("")
