"""The app's way to an engine on another machine, through ssh; see `engine_link`.

The engine there goes on when the line is cut, and the link comes back to it by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec

from tl_tui.common.errors import Problem
from tl_tui.connect.engine_link import ConnectionLost
from tl_tui.connect.ssh_connection import EngineEnded, SshConnection, open_connection
from tl_tui.protocol.commands import AnyCommand, Hello, Shutdown
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.framing import decode_event, encode
from tl_tui.protocol.framing_reader import NotThisProtocol, read_frame

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between two attempts to reach the server again; each is twice the one before."""
END_S = 10.0
"""How long the last words may take to go out."""


class RemoteGone(ConnectionError):
    """There is no way to an engine; the text is the reason, in a sentence."""


class SshLink:
    """An engine on a server, whose first line was opened before the screen was taken."""

    def __init__(self, host: str, remote_command: str, line: SshConnection) -> None:
        """
        Args:
            host: As ssh takes it.
            remote_command: What runs tl-tui there.
            line: Opened already, with whatever had to be asked.
        """
        self.host, self.remote_command = host, remote_command
        self.detached = False
        self._line = line
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._closing = False
        self._reason = ""
        self._woken = asyncio.Event()

    async def start(self) -> None:
        """Say hello over the line that was opened.

        Raises:
            RemoteGone: it broke.
        """
        self._closing, self._reason = False, ""
        try:
            streams = await asyncio.open_connection(sock=self._line.socket)
        except OSError as error:
            raise RemoteGone(str(error)) from error
        self._reader, self._writer = streams
        self.send(Hello(id=0))

    def send(self, command: AnyCommand) -> None:
        """Send a command; never waits. Nothing happens while the line is cut."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(command))

    async def events(self) -> AsyncIterator[AnyEvent | ConnectionLost]:
        """Its events, in order, and between them that the line was cut; ends with the engine."""
        while True:
            assert self._reader is not None
            with contextlib.suppress(ConnectionError, NotThisProtocol, msgspec.DecodeError):
                while (body := await read_frame(self._reader)) is not None:
                    yield decode_event(body)
            if self._closing:
                return
            pause = FIRST_PAUSE_S
            yield ConnectionLost(
                f"The line to {self.host} is cut; the run goes on there. Connecting."
            )
            while (why := await self._again()) and not self._closing:
                if self._reason:
                    return
                yield ConnectionLost(f"{why} The run goes on there; trying again.")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            if self._closing:
                return

    async def _again(self) -> str:
        """One attempt to come back to the engine; why it failed, empty if it has not."""
        told = self._line.told
        arguments = ("--socket", told.socket, "--replaces", str(told.relay))
        await self._hang_up()
        try:
            line = await asyncio.to_thread(self._open, *arguments)
        except EngineEnded as problem:
            self._reason = str(problem)
            return self._reason
        except Problem as problem:
            return str(problem)
        if self._closing:
            line.close()
            return "Left."
        self._line = line
        await self.start()
        return ""

    def _open(self, *arguments: str) -> SshConnection:
        return open_connection(self.host, self.remote_command, *arguments, asks=False)

    async def restart(self) -> None:
        """Start another engine there.

        Raises:
            RemoteGone: it cannot be.
        """
        await self._hang_up()
        try:
            self._line = await asyncio.to_thread(self._open)
        except Problem as problem:
            self._reason = str(problem)
            raise RemoteGone(str(problem)) from problem
        await self.start()

    async def renew(self, *, leave: bool = False) -> None:
        """Let the engine end and save, and start another in its place.

        Args:
            leave: Others watch that engine: it is left as it is.

        Raises:
            RemoteGone: it cannot be.
        """
        if not leave:
            await self._end()
        await self.restart()

    async def close(self) -> None:
        """Hang up; the engine ends, unless it was left to itself."""
        self._closing = True
        self._woken.set()
        if not self.detached:
            await self._end()
        await self._hang_up()

    async def _end(self) -> None:
        self.send(Shutdown(id=0))
        if self._writer is not None:
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(self._writer.drain(), END_S)

    async def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()
            self._writer = None
        await asyncio.to_thread(self._line.close)

    def leave(self) -> None:
        """The screen is gone; nothing is waited for."""
        self._line.close()

    def death_reason(self) -> str:
        """Why the engine is gone, in a sentence."""
        return self._reason or f"The engine on {self.host} has ended."
