"""The link to an engine on another machine, through ssh; see `engine_link`.

The engine continues when the connection is lost, and the link reconnects by itself.
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
"""Pauses between attempts to reconnect; each is twice as long as the one before."""
END_S = 10.0
"""How long to wait until `Shutdown` is sent."""


class RemoteGone(ConnectionError):
    """There is no connection to an engine; the text is the reason, in a sentence."""


class SshLink:
    """A link to an engine on another machine."""

    def __init__(self, host: str, remote_command: str, connection: SshConnection) -> None:
        """
        Args:
            host: The host, as ssh takes it.
            remote_command: The command that runs tl-tui there.
            connection: The first connection, opened while ssh could ask on the terminal.
        """
        self.host, self.remote_command = host, remote_command
        self.detached = False
        self._connection = connection
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._closing = False
        self._reason = ""
        self._woken = asyncio.Event()

    async def start(self) -> None:
        """Send the first message over the open connection.

        Raises:
            RemoteGone: The connection is broken.
        """
        self._closing, self._reason = False, ""
        try:
            streams = await asyncio.open_connection(sock=self._connection.socket)
        except OSError as error:
            raise RemoteGone(str(error)) from error
        self._reader, self._writer = streams
        self.send(Hello(id=0))

    def send(self, command: AnyCommand) -> None:
        """Send a command without waiting; do nothing while the connection is lost."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(command))

    async def events(self) -> AsyncIterator[AnyEvent | ConnectionLost]:
        """Return the engine's events in order, and `ConnectionLost` when the connection is lost,
        until the engine is gone."""
        while True:
            assert self._reader is not None
            with contextlib.suppress(ConnectionError, NotThisProtocol, msgspec.DecodeError):
                while (body := await read_frame(self._reader)) is not None:
                    yield decode_event(body)
            if self._closing:
                return
            pause = FIRST_PAUSE_S
            yield ConnectionLost(
                f"The connection to {self.host} was lost; the run continues there. Reconnecting."
            )
            while (failure := await self._reconnect()) and not self._closing:
                if self._reason:
                    return
                yield ConnectionLost(f"{failure} The run continues there; trying again.")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            if self._closing:
                return

    async def _reconnect(self) -> str:
        """Try once to reconnect to the engine; return why it failed, empty if it succeeded."""
        greeting = self._connection.greeting
        arguments = ("--socket", greeting.socket, "--replaces", str(greeting.relay))
        await self._disconnect()
        try:
            connection = await asyncio.to_thread(self._open, *arguments)
        except EngineEnded as problem:
            self._reason = str(problem)
            return self._reason
        except Problem as problem:
            return str(problem)
        if self._closing:
            connection.close()
            return "Closed."
        self._connection = connection
        await self.start()
        return ""

    def _open(self, *arguments: str) -> SshConnection:
        return open_connection(self.host, self.remote_command, *arguments, asks=False)

    async def restart(self) -> None:
        """Start another engine on the host, and connect to it.

        Raises:
            RemoteGone: There is no connection.
        """
        await self._disconnect()
        try:
            self._connection = await asyncio.to_thread(self._open)
        except Problem as problem:
            self._reason = str(problem)
            raise RemoteGone(str(problem)) from problem
        await self.start()

    async def renew(self, *, leave: bool = False) -> None:
        """Let the engine save and exit, and start another in its place.

        Args:
            leave: Whether to let the old engine continue, because it has other clients.

        Raises:
            RemoteGone: There is no connection.
        """
        if not leave:
            await self._end()
        await self.restart()

    async def close(self) -> None:
        """Disconnect; the engine saves and exits, unless it is detached."""
        self._closing = True
        self._woken.set()
        if not self.detached:
            await self._end()
        await self._disconnect()

    async def _end(self) -> None:
        self.send(Shutdown(id=0))
        if self._writer is not None:
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(self._writer.drain(), END_S)

    async def _disconnect(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()
            self._writer = None
        await asyncio.to_thread(self._connection.close)

    def leave(self) -> None:
        """Close the connection after the app has quit, without waiting for the engine."""
        self._connection.close()

    def death_reason(self) -> str:
        """Return why the engine is gone, in a sentence."""
        return self._reason or f"The engine on {self.host} has ended."
