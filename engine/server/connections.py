"""The connections of an engine's clients: the handshake, their commands and their events.

All of it runs in the clients' thread, so that clients are answered while the main thread works.
Only `send`, `emit` and `attached` may be called from any thread.
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
    HELLO_TIMEOUT_S,
    MAX_CLIENTS,
    MAX_COMMAND,
    RateLimit,
    invalid_message_text,
    is_same_user,
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
"""Seconds to send the last messages when the engine ends."""
WRITE_BUFFER = 64 * 1024
"""Bytes that are buffered for a client before it has to read."""
MAX_PENDING_COMMANDS = 1000
"""Commands that may be pending; above this, the engine stops reading from its clients."""


class Client:
    """A client that was accepted, with the messages still to be sent to it."""

    def __init__(self, writer: asyncio.StreamWriter, *, lossless: bool) -> None:
        self.writer = writer
        self.send_queue = SendQueue(lossless=lossless)
        self.wake = asyncio.Event()
        self.sender: asyncio.Task[None] | None = None
        self.on_disconnect = SetDisconnectAction(id=0, action="end")


class CommandHandler(Protocol):
    """What `Connections` needs of the engine. Its methods are called in the clients' thread."""

    def submit(self, client: Client, command: AnyCommand) -> None:
        """Queue a command for the session."""

    def pending_commands(self) -> int:
        """Return the number of commands that are still queued."""

    def last_client_left(self, on_disconnect: SetDisconnectAction) -> None:
        """Do what the last client asked for in case it leaves."""

    def end(self) -> None:
        """End the engine, because a client asked for it."""


class Connections:
    """Accepts clients, passes on their commands and sends them the events."""

    def __init__(
        self,
        socket_path: Path,
        handler: CommandHandler,
        loop: asyncio.AbstractEventLoop,
        state: LateJoinState,
    ) -> None:
        """
        Args:
            socket_path: The socket to listen on.
            handler: Executes the commands of the clients.
            loop: The event loop of the clients' thread.
            state: Records every event, and holds what to send to clients that connect later.
        """
        self.alone_since = time.monotonic()
        """When the last client left, or when the engine started if none came yet."""
        self._socket_path, self._handler, self._loop = socket_path, handler, loop
        self._state = state
        self._clients: Clients[Client] = Clients()
        self._lock = threading.Lock()
        """Protects the clients and the state."""
        self._ending = False

    # --- from any thread ------------------------------------------------------------------------

    def attached(self) -> list[Client]:
        """Return the clients that are connected."""
        with self._lock:
            return list(self._clients)

    def send(self, client: Client, event: AnyEvent) -> None:
        """Send an event to one client; disconnect it if it has stopped reading."""
        if not client.send_queue.put(event):
            self._loop.call_soon_threadsafe(client.writer.transport.abort)
        self._loop.call_soon_threadsafe(client.wake.set)

    def emit(self, event: AnyEvent, requester: Client | None = None) -> None:
        """Send an event to all clients, or only to `requester` if it is given."""
        with self._lock:
            self._state.record_event(event)
            for client in [requester] if requester else self._clients:
                self.send(client, event)

    def end(self) -> None:
        """Prepare to end: no longer wait for slow clients; `flush` sends what is still queued."""
        self._ending = True
        for client in self.attached():
            client.send_queue.release()

    # --- the clients' thread --------------------------------------------------------------------

    async def open(self) -> asyncio.Server:
        """Listen on the socket."""
        return await asyncio.start_unix_server(self._serve, os.fspath(self._socket_path))

    async def flush(self) -> None:
        """Send the remaining messages to every client, for at most `FLUSH_S` seconds."""
        for client in self.attached():
            client.send_queue.release()
            client.send_queue.finish()
            client.wake.set()
        senders = [client.sender for client in self.attached() if client.sender]
        if senders:
            await asyncio.wait(senders, timeout=FLUSH_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it disconnects."""
        client = None
        if not is_same_user(writer):
            print("Rejected a connection from another user's process.")
            writer.close()
            return
        try:
            writer.write(encode(self._greeting()))
            client = await self._attach(reader, writer)
            if client is not None:
                client.sender = self._loop.create_task(self._send_pending(client))
                await self._receive(client, reader)
        except (NotThisProtocol, msgspec.DecodeError) as error:
            print(f"Disconnected a client: {error}.")
            writer.write(encode(Refused(id=0, reason=invalid_message_text(error))))
        except (ConnectionError, TimeoutError):
            pass
        finally:
            if client is not None:
                self._detach(client)
            writer.close()

    async def _attach(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Client | None:
        """Wait for a client's `Hello` and accept it; return None if it left or was refused."""
        body = await asyncio.wait_for(read_frame(reader, MAX_COMMAND), HELLO_TIMEOUT_S)
        if body is None:
            return None
        hello = decode_command(body)
        refusal = ""
        if not isinstance(hello, Hello):
            refusal = "The first message must be Hello."
        elif hello.protocol != PROTOCOL:
            refusal = (
                f"This engine uses protocol {PROTOCOL} (tl-tui {__version__}), the screen protocol "
                f"{hello.protocol}; install the same version of tl-tui on both sides."
            )
        elif len(self.attached()) >= MAX_CLIENTS:
            refusal = f"{MAX_CLIENTS} clients are attached already, the maximum; close one of them."
        if refusal or not isinstance(hello, Hello):
            writer.write(encode(Refused(id=hello.id, reason=refusal)))
            return None
        client = Client(writer, lossless=hello.lossless)
        client.send_queue.put(Confirmed(id=hello.id))
        with self._lock:
            for event in self._state.events():
                client.send_queue.put(event)
            self._clients.add(client)
            self._send_viewer_changes()
        return client

    def _greeting(self) -> Greeted:
        with self._lock:
            opened = self._state.opened
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
                training=self._state.training,
                screens=len(self._clients),
            )

    def _send_viewer_changes(self) -> None:
        """Tell clients about a change in their number or control. The lock is held."""
        for client, event in self._clients.take_changes():
            self.send(client, event)

    async def _receive(self, client: Client, reader: asyncio.StreamReader) -> None:
        """Read a client's commands until it disconnects."""
        rate_limit = RateLimit()
        while (body := await read_frame(reader, MAX_COMMAND)) is not None:
            await rate_limit.acquire()
            try:
                command = decode_command(body)
            except msgspec.DecodeError as error:  # the length was valid, so reading can continue
                self.send(client, Refused(id=0, reason=invalid_message_text(error)))
                continue
            if isinstance(command, Shutdown):
                self.send(client, Confirmed(id=command.id))
                self._handler.end()
                continue
            if isinstance(command, (SetDisconnectAction, TakeOver)):
                self._handle_client_command(client, command)
                continue
            if reason := self._clients.refusal(client, command):
                self.send(client, Refused(id=command.id, reason=reason))
                continue
            while self._handler.pending_commands() > MAX_PENDING_COMMANDS:
                await asyncio.sleep(0.05)
            self._handler.submit(client, command)

    def _handle_client_command(
        self, client: Client, command: SetDisconnectAction | TakeOver
    ) -> None:
        """Execute a command that concerns the clients only, not the session."""
        self.send(client, Confirmed(id=command.id))
        if isinstance(command, SetDisconnectAction):
            client.on_disconnect = command
            return
        with self._lock:
            self._clients.take_over(client)
            self._send_viewer_changes()

    async def _send_pending(self, client: Client) -> None:
        """Send the messages of a client's queue, as fast as it reads them."""
        client.writer.transport.set_write_buffer_limits(high=WRITE_BUFFER)
        try:
            while True:
                client.wake.clear()
                while (message := client.send_queue.get()) is not None:
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
            self._send_viewer_changes()
        client.send_queue.close()
        if client.sender is not None and not self._ending:
            client.sender.cancel()
        if last:
            self._handler.last_client_left(client.on_disconnect)
