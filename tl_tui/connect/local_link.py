"""The app's way to a real engine in a process of its own; see `engine_link`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from tl_tui.connect.client import Connection, EngineProcess
from tl_tui.protocol.commands import AnyCommand
from tl_tui.protocol.events import AnyEvent

LEAVE_S = 3.0
"""How long the engine may take to end before the user is told what it still does."""
SAVE_S = 75.0
"""How long an engine may take to save; it ends itself earlier."""


class LocalLink:
    """An engine that was started here already: the screen's first frame need not wait for it."""

    def __init__(self, process: EngineProcess) -> None:
        self.process = process
        self.host, self.detached = "", False
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
        self.process = EngineProcess.start(outlives=True)
        await self.start()

    async def renew(self, *, leave: bool = False) -> None:
        """Let the engine end, which saves what was trained, and start another in its place.

        Args:
            leave: Others watch that engine: it is left as it is.

        Raises:
            EngineGone: as in `start`.
        """
        await self.close()
        if leave:
            self.process = EngineProcess.start(outlives=True)
            await self.start()
        else:
            await asyncio.to_thread(self.process.leave, SAVE_S)
            await self.restart()

    async def close(self) -> None:
        """Hang up. The engine does what it was told to do without a screen."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def leave(self) -> None:
        """Let the engine end, which saves what was trained, unless it was left to itself."""
        if self.detached:
            return
        try:
            if not self.process.leave(LEAVE_S):
                print("The engine is ending; ctrl+c ends it at once.", file=sys.stderr)
                self.process.leave(SAVE_S)
        finally:
            self.process.kill()

    def death_reason(self) -> str:
        """Why the engine is gone, in a sentence."""
        return self.process.reason()
