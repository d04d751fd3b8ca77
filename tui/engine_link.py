"""The seam on the screen's side: how the app speaks with an engine, whatever carries it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from engine.protocol import AnyCommand, AnyEvent


class EngineLink(Protocol):
    """An engine that was started, and the way to it."""

    async def start(self) -> None:
        """Wait until the engine can be spoken to.

        Raises:
            OSError: it cannot; `death_reason` says why.
        """

    def send(self, command: AnyCommand) -> None:
        """Send a command; never waits. Nothing happens if the engine is gone."""

    def events(self) -> AsyncIterator[AnyEvent]:
        """Its events, in order; ends when the engine is gone."""

    async def restart(self) -> None:
        """Start another engine in place of a dead one, and wait until it can be spoken to.

        Raises:
            OSError: as in `start`.
        """

    async def renew(self) -> None:
        """Let the engine end and save, and start another in its place.

        Raises:
            OSError: as in `start`.
        """

    async def close(self) -> None:
        """Let the engine end."""

    def death_reason(self) -> str:
        """Why the engine is gone, in a sentence."""
