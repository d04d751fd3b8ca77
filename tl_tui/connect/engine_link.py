"""The interface through which the app uses an engine, local or remote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from tl_tui.protocol.commands import AnyCommand
from tl_tui.protocol.events import AnyEvent


@dataclass(frozen=True)
class ConnectionLost:
    """The connection to a running engine was lost; the link is reconnecting."""

    sentence: str
    """What happened, for the user."""


class EngineLink(Protocol):
    """A connection to an engine, and control of its process."""

    host: str
    """The host that the engine runs on, as ssh takes it; empty for this machine."""
    detached: bool
    """Whether the engine continues when the app quits; set by the app."""

    async def start(self) -> None:
        """Connect to the engine, waiting until it is ready.

        Raises:
            OSError: It is not; `death_reason` returns why.
        """

    def send(self, command: AnyCommand) -> None:
        """Send a command without waiting; do nothing if the engine is gone."""

    def events(self) -> AsyncIterator[AnyEvent | ConnectionLost]:
        """Return the engine's events in order, until the engine is gone.

        After `ConnectionLost` and a reconnection the engine sends its whole state, as to a client
        that attaches.
        """

    async def restart(self) -> None:
        """Start another engine in place of a dead one, and connect to it.

        Raises:
            OSError: As in `start`.
        """

    async def renew(self, *, leave: bool = False) -> None:
        """Let the engine save and exit, and start another in its place.

        Args:
            leave: Whether to let the old engine continue, because it has other clients.

        Raises:
            OSError: As in `start`.
        """

    async def close(self) -> None:
        """Disconnect; see `SetDisconnectAction` for what the engine then does."""

    def leave(self) -> None:
        """Wait after the app has quit until the engine has ended, unless it is detached."""

    def death_reason(self) -> str:
        """Return why the engine is gone, in a sentence."""
