"""The seam on the screen's side: how the app speaks with an engine, whatever carries it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from tl_tui.protocol.commands import AnyCommand
from tl_tui.protocol.events import AnyEvent


@dataclass(frozen=True)
class ConnectionLost:
    """The engine goes on and cannot be reached; the link comes back to it by itself."""

    sentence: str


class EngineLink(Protocol):
    """An engine that was started, and the way to it."""

    host: str
    """The machine it is on, as ssh takes it; empty if it is this one."""
    detached: bool
    """Set by the app when it leaves the engine to itself."""

    async def start(self) -> None:
        """Wait until the engine can be spoken to.

        Raises:
            OSError: it cannot; `death_reason` says why.
        """

    def send(self, command: AnyCommand) -> None:
        """Send a command; never waits. Nothing happens if the engine is gone."""

    def events(self) -> AsyncIterator[AnyEvent | ConnectionLost]:
        """Its events, in order; ends when the engine is gone. Behind a cut line it tells its
        state anew, as to a screen that attaches."""

    async def restart(self) -> None:
        """Start another engine in place of a dead one, and wait until it can be spoken to.

        Raises:
            OSError: as in `start`.
        """

    async def renew(self, *, leave: bool = False) -> None:
        """Let the engine end and save, and start another in its place.

        Args:
            leave: Others watch that engine: it is left as it is.

        Raises:
            OSError: as in `start`.
        """

    async def close(self) -> None:
        """Hang up. The engine does what it was told to do without a screen."""

    def leave(self) -> None:
        """Wait, once the screen is gone, until nothing of an engine that was to end is left."""

    def death_reason(self) -> str:
        """Why the engine is gone, in a sentence."""
