"""The step that a number belongs to."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Moment(NamedTuple):
    """A point of a run: after a step of a start, before the next one."""

    start: int
    """How often the session was started over."""
    step: int
    """The number of steps of that start."""


class Dated(Protocol):
    """An event whose numbers belong to one moment, such as a step or a validation."""

    @property
    def start(self) -> int: ...

    @property
    def step(self) -> int: ...


def moment_of(event: Dated) -> Moment:
    """Return the moment that the numbers of an event belong to."""
    return Moment(event.start, event.step)
