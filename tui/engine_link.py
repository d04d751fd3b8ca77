"""The seam on the screen's side: how the app speaks with an engine, whatever carries it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from engine.client import Connection, EngineProcess
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

    async def close(self) -> None:
        """Let the engine end."""

    def death_reason(self) -> str:
        """Why the engine is gone, in a sentence."""


class ProcessLink:
    """An engine process of this machine; ends with the app."""

    def __init__(self, process: EngineProcess) -> None:
        """
        Args:
            process: Started already, so that it loads while the first frame is drawn.
        """
        self._process = process
        self._connection: Connection | None = None

    async def start(self) -> None:
        self._connection = await self._process.connect()

    async def restart(self) -> None:
        self._process.kill()
        self._process = EngineProcess.start()
        await self.start()

    def send(self, command: AnyCommand) -> None:
        if self._connection is not None:
            self._connection.send(command)

    async def events(self) -> AsyncIterator[AnyEvent]:
        if self._connection is not None:
            async for event in self._connection:
                yield event

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        else:
            self._process.kill()

    def death_reason(self) -> str:
        return self._process.reason()
