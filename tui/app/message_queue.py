"""Sentences said in passing: one after the other, each for as long as it takes to read it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from textual.message_pump import MessagePump
from textual.timer import Timer

REMEMBERED = 200
"""Sentences kept to be read again."""


class MessageQueue:
    """Hands out one sentence at a time."""

    def __init__(self, pump: MessagePump, show: Callable[[str], None]) -> None:
        """
        Args:
            pump: The app.
            show: Shows a sentence; empty when there is none.
        """
        self._pump, self._show = pump, show
        self._waiting: deque[str] = deque(maxlen=20)
        self._timer: Timer | None = None
        self.said: deque[str] = deque(maxlen=REMEMBERED)
        self._saying = ""
        """What is said while the timer runs."""
        self._insisted: list[str] = []

    def answer(self, sentence: str) -> None:
        """Say at once what a key did; what was being said gives way."""
        self.said.append(sentence)
        self._say(sentence)

    def again(self) -> None:
        """Show what is being said once more: what showed it before is gone."""
        if self._timer is not None:
            self._show(self._saying)
        else:
            self._next()

    def tell(self, sentence: str) -> None:
        """Say it when its turn comes."""
        self.said.append(sentence)
        if self._timer is None:
            self._say(sentence)
        else:
            self._waiting.append(sentence)

    def insist(self, sentence: str) -> None:
        """Say it until the user has taken it away; what is said in between only covers it."""
        self.said.append(sentence)
        if sentence not in self._insisted:
            self._insisted.append(sentence)
        if self._timer is None:
            self._next()

    def understood(self) -> bool:
        """Take away what is being said. False if there was nothing."""
        there = bool(self._insisted) or self._timer is not None
        if self._timer is None:
            self._insisted = self._insisted[1:]
        self._next()
        return there

    def done(self) -> None:
        """Something happened that says more than any sentence; `:` has them to be read again."""
        self._waiting.clear()
        self._next()

    def silence(self) -> None:
        """Something happened beside which nothing else counts, what was insisted on included."""
        self._insisted.clear()
        self.done()

    def _say(self, sentence: str) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._saying = sentence
        self._show(sentence)
        self._timer = self._pump.set_timer(2.5 + len(sentence) / 25, self._next)

    def _next(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._waiting:
            self._say(self._waiting.popleft())
        elif self._insisted:
            self._show(f"(Esc: read) {self._insisted[0]}")
        else:
            self._show("")
