"""The link to an engine on this machine; see `engine_link`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from tl_tui.connect.client import Connection, EngineProcess
from tl_tui.protocol.commands import AnyCommand
from tl_tui.protocol.events import AnyEvent

LEAVE_S = 3.0
"""How long to wait for the engine to end before a message says that it is ending."""
SAVE_S = 75.0
"""How long to wait for the engine to save and exit; its own limit is shorter."""


class LocalLink:
    """A link to an engine on this machine, which need not be ready yet."""

    def __init__(self, process: EngineProcess) -> None:
        self.process = process
        self.host, self.detached = "", False
        self._connection: Connection | None = None

    async def start(self) -> None:
        """Connect to the engine, waiting until it is ready.

        Raises:
            EngineGone: It is not; `death_reason` returns why.
        """
        self._connection = await self.process.connect()

    def send(self, command: AnyCommand) -> None:
        """Send a command without waiting; do nothing if the engine is gone."""
        if self._connection is not None:
            self._connection.send(command)

    async def events(self) -> AsyncIterator[AnyEvent]:
        """Return the engine's events in order, until the engine is gone."""
        if self._connection is not None:
            async for event in self._connection:
                yield event

    async def restart(self) -> None:
        """Start another engine in place of a dead one, and connect to it.

        Raises:
            EngineGone: As in `start`.
        """
        await self.close()
        self.process.kill()  # it may have lost only its socket
        self.process = EngineProcess.start(outlives=True)
        await self.start()

    async def renew(self, *, leave: bool = False) -> None:
        """Let the engine save and exit, and start another in its place.

        Args:
            leave: Whether to let the old engine continue, because it has other clients.

        Raises:
            EngineGone: As in `start`.
        """
        await self.close()
        if leave:
            self.process = EngineProcess.start(outlives=True)
            await self.start()
        else:
            await asyncio.to_thread(self.process.leave, SAVE_S)
            await self.restart()

    async def close(self) -> None:
        """Disconnect; see `SetDisconnectAction` for what the engine then does."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def leave(self) -> None:
        """Let the engine save and exit, unless it is detached; kill it if that takes too long."""
        if self.detached:
            return
        try:
            if not self.process.leave(LEAVE_S):
                print("The engine is saving and ending; Ctrl-C ends it at once.", file=sys.stderr)
                self.process.leave(SAVE_S)
        finally:
            self.process.kill()

    def death_reason(self) -> str:
        """Return why the engine is gone, in a sentence."""
        return self.process.reason()
