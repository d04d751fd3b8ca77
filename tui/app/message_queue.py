"""The queue of short messages: one is shown at a time, for as long as it takes to read.

A message that stops being true disappears at once, as all do when another run is opened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from textual.message_pump import MessagePump
from textual.timer import Timer

from tui.state.notice import About, Notice, always, run
from tui.state.run_state import RunState

HISTORY_LENGTH = 200
"""The number of messages kept for the list of past messages."""
QUEUE_LENGTH = 20
"""The number of messages that can wait; beyond it the oldest are dropped."""


@dataclass(frozen=True)
class _Message:
    """A sentence, with the run and the value of what it is about from the time when it was true."""

    sentence: str
    about: About
    run: Hashable
    value: Hashable

    def holds(self, state: RunState) -> bool:
        """Return whether it is still true."""
        return run(state) == self.run and self.about(state) == self.value


class MessageQueue:
    """Shows short messages to the user, one at a time."""

    def __init__(self, pump: MessagePump, show: Callable[[str], None], state: RunState) -> None:
        """
        Args:
            pump: The app, whose timers end a message.
            show: Displays a message, or clears the message line if the message is empty.
            state: The state of the run, on which the truth of a message depends.
        """
        self._pump, self._show, self._state = pump, show, state
        self._waiting: deque[_Message] = deque(maxlen=QUEUE_LENGTH)
        self._timer: Timer | None = None
        self._current: _Message | None = None
        """The message on the screen while the timer runs."""
        self._pinned: list[_Message] = []
        self.history: deque[str] = deque(maxlen=HISTORY_LENGTH)
        """All recent messages, the oldest first."""

    def notify(self, notice: Notice) -> None:
        """Show a message, at once or after those that are waiting."""
        if notice.pinned:
            self.pin(notice.sentence, notice.about)
        elif notice.urgent:
            self.show_now(notice.sentence, notice.about)
        else:
            self.enqueue(notice.sentence, notice.about)

    def show_now(self, sentence: str, about: About = always) -> None:
        """Show a message at once, in place of the current one.

        Args:
            sentence: The message.
            about: What it depends on; see `Notice`.
        """
        self._start(self._message(sentence, about))

    def enqueue(self, sentence: str, about: About = always) -> None:
        """Show a message after those that are already waiting."""
        message = self._message(sentence, about)
        if self._timer is None:
            self._start(message)
        else:
            self._waiting.append(message)

    def pin(self, sentence: str, about: About = always) -> None:
        """Show a message until the user dismisses it; other messages cover it for a while."""
        message = self._message(sentence, about)
        self._pinned = [pinned for pinned in self._pinned if pinned.sentence != sentence]
        self._pinned.append(message)
        if self._timer is None:
            self._next()

    def drop_untrue(self) -> None:
        """Drop the messages that have stopped being true. Call it after every change."""
        waiting = [message for message in self._waiting if message.holds(self._state)]
        if len(waiting) < len(self._waiting):
            self._waiting = deque(waiting, maxlen=QUEUE_LENGTH)
        pinned = [message for message in self._pinned if message.holds(self._state)]
        unpinned, self._pinned = len(pinned) < len(self._pinned), pinned
        if self._current is not None:
            if not self._current.holds(self._state):
                self._next()
        elif unpinned:
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
        if self._current is not None:
            self._show(self._current.sentence)
        else:
            self._next()

    def _message(self, sentence: str, about: About) -> _Message:
        self.history.append(sentence)
        return _Message(sentence, about, run(self._state), about(self._state))

    def _start(self, message: _Message) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._current = message
        self._show(message.sentence)
        self._timer = self._pump.set_timer(2.5 + len(message.sentence) / 25, self._next)

    def _next(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._current = None
        if self._waiting:
            self._start(self._waiting.popleft())
        elif self._pinned:
            self._show(f"(Esc to dismiss) {self._pinned[0].sentence}")
        else:
            self._show("")
