"""A message to the user, with the part of the state that it depends on."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from tui.state.run_state import RunState

About = Callable[[RunState], Hashable]
"""Returns what a message depends on. The message is true as long as this value does not change."""


def always(state: RunState) -> Hashable:
    """The subject of a message about the past, which stays true."""
    return None


def run(state: RunState) -> Hashable:
    """The run that is open."""
    return state.session.run_dir if state.session else None


def activity(state: RunState) -> Hashable:
    """What the engine is asked to do, and whether this screen may ask it."""
    return (
        state.phase,
        bool(state.cut),
        state.running,
        state.results.fold is not None,
        state.watched.in_control,
    )


def progress(state: RunState) -> Hashable:
    """The last step, and whether further ones are on the way."""
    return state.now, activity(state)


def mask(state: RunState) -> Hashable:
    """The mask that the user wants."""
    return state.wanted


@dataclass(frozen=True)
class Notice:
    """A sentence that is shown for a while, or until it stops being true."""

    sentence: str
    about: About = always
    pinned: bool = False
    """Whether it stays until the user dismisses it; otherwise for as long as it takes to read."""
    urgent: bool = True
    """Whether it replaces the message on the screen; otherwise it waits for its turn."""
