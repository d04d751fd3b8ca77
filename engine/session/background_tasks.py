"""Work beside the steps, a unit at a time: what was asked for at once, and what waits for idleness.

Every piece is a generator; what it changes it puts back when it is closed, so that it can be
dropped at any unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class BackgroundTask:
    name: str
    """In words, as a heartbeat says it: `evaluating`, `range test`."""
    units: Iterator[Any]
    idle: bool
    """Waits until nothing else is to be done; else it goes before the next step of training."""
    exclusive: bool
    """It has the trainer to itself: a step asked for in between ends it."""
    dropped: Callable[[], None]
    """Told if it is ended before its end."""


class BackgroundTasks:
    """Pieces in the order they were asked for; one of a name at a time."""

    def __init__(self) -> None:
        self._pieces: list[BackgroundTask] = []

    def put(
        self,
        name: str,
        units: Iterator[Any],
        *,
        idle: bool = False,
        exclusive: bool = False,
        dropped: Callable[[], None] = lambda: None,
    ) -> None:
        """Add a piece; one of the same name gives way to it."""
        self.drop(name)
        self._pieces.append(BackgroundTask(name, units, idle, exclusive, dropped))

    def there(self, name: str) -> bool:
        """A piece of this name is being done, or waits."""
        return any(piece.name == name for piece in self._pieces)

    def next(self, *, idle: bool) -> BackgroundTask | None:
        """The next piece to do a unit of, if there is one.

        Args:
            idle: Nothing else is to be done.
        """
        prompt = [piece for piece in self._pieces if not piece.idle]
        return next(iter(prompt or (self._pieces if idle else [])), None)

    def do_unit(self, piece: BackgroundTask) -> None:
        """Do one unit of a piece."""
        end = object()
        try:
            if next(piece.units, end) is not end:
                return
        except BaseException:
            self._forget(piece)
            raise
        self._forget(piece)

    def drop(self, *names: str) -> None:
        """End the pieces of these names."""
        self._close([piece for piece in self._pieces if piece.name in names])

    def drop_exclusive(self) -> None:
        """End what has the trainer to itself."""
        self._close([piece for piece in self._pieces if piece.exclusive])

    def drop_all(self) -> None:
        self._close(list(self._pieces))

    def _close(self, pieces: list[BackgroundTask]) -> None:
        for piece in pieces:
            close = getattr(piece.units, "close", None)
            if close is not None:
                close()
            self._forget(piece)
            piece.dropped()

    def _forget(self, piece: BackgroundTask) -> None:
        self._pieces = [other for other in self._pieces if other is not piece]
