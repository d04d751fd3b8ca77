"""The clients of an engine: taken in by their Hello, listened to, and written to.

All of it runs in the engine's second thread, so that a client is answered while the first one
works; `put`, `emit` and `attached` may be called from any thread.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Protocol

import msgspec

from engine.server.clients import Clients
from engine.server.late_join import LateJoinState
from engine.server.rate_limits import (
    HELLO_S,
    MAX_COMMAND,
    MOST_CLIENTS,
    RateLimit,
    is_same_user,
    why_refused,
)
from engine.server.send_queue import SendQueue
from tl_tui import __version__
from tl_tui.common.host import this_host
from tl_tui.protocol.commands import (
    PROTOCOL,
    AnyCommand,
    Hello,
    SetDisconnectAction,
    Shutdown,
    TakeOver,
)
from tl_tui.protocol.events import AnyEvent, Confirmed, Greeted, Refused
from tl_tui.protocol.framing import decode_command, encode
from tl_tui.protocol.framing_reader import NotThisProtocol, read_frame

FLUSH_S = 2.0
"""How long the last messages may take on their way out."""
KERNEL_AHEAD = 64 * 1024
"""Bytes handed to a client's connection before it has to read."""
COMMANDS_AHEAD = 1000
"""Commands that may wait; beyond, a client is not read from."""


class Client:
    """One connection that was taken in."""

    def __init__(self, writer: asyncio.StreamWriter, *, lossless: bool) -> None:
        self.writer = writer
        self.send_queue = SendQueue(lossless=lossless)
        self.wake = asyncio.Event()
        self.sender: asyncio.Task[None] | None = None
        self.when_alone = SetDisconnectAction(id=0, action="end")


class EngineSide(Protocol):
    """What the reception asks of the engine; called in the clients' thread."""

    def take(self, client: Client, command: AnyCommand) -> None:
        """A command that is the session's."""

    def waiting(self) -> int:
        """How many commands it has not come to."""

    def left_alone(self, wish: SetDisconnectAction) -> None:
        """The last client has gone, and wished this."""

    def end(self) -> None:
        """A client asked for the engine's end."""


class Connections:
    """Takes clients in, hands their commands on, and brings the events to them."""

    def __init__(
        self,
        socket_path: Path,
        host: EngineSide,
        loop: asyncio.AbstractEventLoop,
        current: LateJoinState,
    ) -> None:
        """
        Args:
            socket_path: Where it listens.
            host: The engine.
            loop: The clients' thread's.
            current: Is told every event; what a client is told that comes later.
        """
        self.alone_since = time.monotonic()
        """When the last client went; the beginning if none came."""
        self._socket_path, self._host, self._loop = socket_path, host, loop
        self._current = current
        self._clients: Clients[Client] = Clients()
        self._lock = threading.Lock()
        """Of the clients and of what is told to one that comes."""
        self._ending = False

    # --- from any thread ------------------------------------------------------------------------

    def attached(self) -> list[Client]:
        with self._lock:
            return list(self._clients)

    def put(self, client: Client, event: AnyEvent) -> None:
        """Send an event to one client."""
        if not client.send_queue.put(event):
            self._loop.call_soon_threadsafe(client.writer.transport.abort)
        self._loop.call_soon_threadsafe(client.wake.set)

    def emit(self, event: AnyEvent, asker: Client | None = None) -> None:
        """Send an event to all, or, if it is an answer, to who asked."""
        with self._lock:
            self._current.note(event)
            for client in [asker] if asker else self._clients:
                self.put(client, event)

    def end(self) -> None:
        """Nobody is waited for any more; clients that go from now on change nothing."""
        self._ending = True
        for client in self.attached():
            client.send_queue.release()

    # --- the clients' thread --------------------------------------------------------------------

    async def open(self) -> asyncio.Server:
        """Listen on the socket."""
        return await asyncio.start_unix_server(self._greet, os.fspath(self._socket_path))

    async def flush(self) -> None:
        """Write what is left to every client, for a time."""
        for client in self.attached():
            client.send_queue.release()
            client.send_queue.finish()
            client.wake.set()
        senders = [client.sender for client in self.attached() if client.sender]
        if senders:
            await asyncio.wait(senders, timeout=FLUSH_S)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client from its connection to its end."""
        client = None
        if not is_same_user(writer):
            print("Another user's process was sent away.")
            writer.close()
            return
        try:
            writer.write(encode(self._greeting()))
            client = await self._attach(reader, writer)
            if client is not None:
                client.sender = self._loop.create_task(self._send(client))
                await self._listen(client, reader)
        except (NotThisProtocol, msgspec.DecodeError) as error:
            print(f"A client was sent away: {error}.")
            writer.write(encode(Refused(id=0, reason=why_refused(error))))
        except (ConnectionError, TimeoutError):
            pass
        finally:
            if client is not None:
                self._detach(client)
            writer.close()

    async def _attach(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Client | None:
        """Take a client in by its Hello; None if it goes again."""
        body = await asyncio.wait_for(read_frame(reader, MAX_COMMAND), HELLO_S)
        if body is None:
            return None
        hello = decode_command(body)
        refusal = ""
        if not isinstance(hello, Hello):
            refusal = "The first message must be Hello."
        elif hello.protocol != PROTOCOL:
            refusal = (
                f"This engine speaks protocol {PROTOCOL} (tl-tui {__version__}), the screen "
                f"{hello.protocol}; install the same version of tl-tui on both sides."
            )
        elif len(self.attached()) >= MOST_CLIENTS:
            refusal = f"{MOST_CLIENTS} clients are attached already; close one of them."
        if refusal or not isinstance(hello, Hello):
            writer.write(encode(Refused(id=hello.id, reason=refusal)))
            return None
        client = Client(writer, lossless=hello.lossless)
        client.send_queue.put(Confirmed(id=hello.id))
        with self._lock:
            for event in self._current.events():
                client.send_queue.put(event)
            self._clients.add(client)
            self._tell_company()
        return client

    def _greeting(self) -> Greeted:
        with self._lock:
            opened = self._current.opened
            return Greeted(
                protocol=PROTOCOL,
                version=__version__,
                pid=os.getpid(),
                host=this_host.host,
                job=this_host.job,
                job_ends=this_host.job_ends,
                run_dir=opened.run_dir if opened else "",
                arch=opened.arch if opened else "",
                data=opened.data if opened else "",
                step=opened.step if opened else 0,
                training=self._current.training,
                screens=len(self._clients),
            )

    def _tell_company(self) -> None:
        """Tell each client how many there are and whether it steers. The lock is held."""
        for client, told in self._clients.news():
            self.put(client, told)

    async def _listen(self, client: Client, reader: asyncio.StreamReader) -> None:
        allowance = RateLimit()
        while (body := await read_frame(reader, MAX_COMMAND)) is not None:
            await allowance.take()
            try:
                command = decode_command(body)
            except msgspec.DecodeError as error:  # its length was right: what follows can be read
                self.put(client, Refused(id=0, reason=why_refused(error)))
                continue
            if isinstance(command, Shutdown):
                self.put(client, Confirmed(id=command.id))
                self._host.end()
                continue
            if isinstance(command, (SetDisconnectAction, TakeOver)):
                self._answer_here(client, command)
                continue
            if reason := self._clients.refusal(client, command):
                self.put(client, Refused(id=command.id, reason=reason))
                continue
            while self._host.waiting() > COMMANDS_AHEAD:
                await asyncio.sleep(0.05)
            self._host.take(client, command)

    def _answer_here(self, client: Client, command: SetDisconnectAction | TakeOver) -> None:
        """What is between the engine and its clients, and none of the session's business."""
        self.put(client, Confirmed(id=command.id))
        if isinstance(command, SetDisconnectAction):
            client.when_alone = command
            return
        with self._lock:
            self._clients.take_over(client)
            self._tell_company()

    async def _send(self, client: Client) -> None:
        """Everything in a client's outbox, as fast as it reads."""
        client.writer.transport.set_write_buffer_limits(high=KERNEL_AHEAD)
        try:
            while True:
                client.wake.clear()
                while (message := client.send_queue.take()) is not None:
                    client.writer.write(message)
                    await client.writer.drain()
                if client.send_queue.finished:
                    return
                await client.wake.wait()
        except ConnectionError:
            client.send_queue.close()

    def _detach(self, client: Client) -> None:
        with self._lock:
            self._clients.discard(client)
            last = not self._clients
            self.alone_since = time.monotonic()
            self._tell_company()
        client.send_queue.close()
        if client.sender is not None and not self._ending:
            client.sender.cancel()
        if last:
            self._host.left_alone(client.when_alone)
