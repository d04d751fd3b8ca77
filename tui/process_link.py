"""The app's way to a real engine in a process of its own; see `engine_link`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from engine.client import Connection, EngineProcess
from engine.protocol import AnyCommand, AnyEvent

SAVE_S = 75.0
"""How long an engine may take to save; it ends itself earlier."""


class ProcessLink:
    """An engine that was started here already: the screen's first frame need not wait for it."""

    def __init__(self, process: EngineProcess) -> None:
        self.process = process
        self._connection: Connection | None = None

    async def start(self) -> None:
        """Wait until the engine can be spoken to.

        Raises:
            EngineGone: it cannot; `death_reason` says why.
        """
        self._connection = await self.process.connect()

    def send(self, command: AnyCommand) -> None:
        """Send a command; never waits. Nothing happens if the engine is gone."""
        if self._connection is not None:
            self._connection.send(command)

    async def events(self) -> AsyncIterator[AnyEvent]:
        """Its events, in order; ends when the engine is gone."""
        if self._connection is not None:
            async for event in self._connection:
                yield event

    async def restart(self) -> None:
        """Start another engine in place of a dead one, and wait until it can be spoken to.

        Raises:
            EngineGone: as in `start`.
        """
        await self.close()
        self.process.kill()  # it may have lost its socket and not its life
        self.process = EngineProcess.start()
        await self.start()

    async def renew(self) -> None:
        """Let the engine end, which saves what was trained, and start another in its place.

        Raises:
            EngineGone: as in `start`.
        """
        await self.close()
        await asyncio.to_thread(self.process.leave, SAVE_S)
        await self.restart()

    async def close(self) -> None:
        """Let the engine end."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def death_reason(self) -> str:
        """Why the engine is gone, in a sentence."""
        return self.process.reason()
