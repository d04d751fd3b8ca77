"""The engine's process: a socket, its clients, and between two units of work their commands.

Two threads. The main one does the work: it hands commands to the session, else lets it do one
unit. The other speaks with the clients and answers during a unit, so that a slow engine never
looks like a dead one; a slow client never slows a step.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import faulthandler
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from . import __version__, log_file
from .company import Company
from .current_state import CurrentState
from .frames import NotThisProtocol, read_frame
from .outbox import Outbox
from .place import place
from .problem import Problem
from .protocol import (
    PROTOCOL,
    AnyCommand,
    AnyEvent,
    Confirmed,
    EngineFailed,
    Greeted,
    Heartbeat,
    Hello,
    MaskPlanned,
    Pause,
    Refused,
    SetMask,
    Shutdown,
    TakeOver,
    WhenAlone,
    decode_command,
    encode,
)
from .strangers import HELLO_S, MAX_COMMAND, MOST_CLIENTS, Allowance, may_speak, why_refused

HEARTBEAT_S = 1.0
LAST_UNIT_S = 10.0
"""How long the unit that runs may take to come to its end when the engine is to end."""
SAVE_S = 60.0
"""How long the session may then take to save what was trained."""
FIRST_CLIENT_S = 60.0
"""An engine that nobody speaks to within this time ends."""
IDLE_S = 30 * 60.0
"""An engine without clients and without work ends after this time: others want the GPU."""
FLUSH_S = 2.0
"""How long the last messages may take on their way out."""
KERNEL_AHEAD = 64 * 1024
"""Bytes handed to a client's connection before it has to read."""
COMMANDS_AHEAD = 1000
"""Commands that may wait; beyond, a client is not read from."""


class AnySession(Protocol):
    """What the server asks of a session; see `engine.session`."""

    @property
    def busy(self) -> str: ...

    def handle(self, command: AnyCommand) -> None: ...
    def work(self) -> bool: ...
    def close(self) -> None: ...


SessionFactory = Callable[[Callable[[AnyEvent], None], Callable[[Path], None]], AnySession]
"""Makes a session from where its events go and who is told the run directory."""


class _Client:
    def __init__(self, writer: asyncio.StreamWriter, *, lossless: bool) -> None:
        self.writer = writer
        self.outbox = Outbox(lossless=lossless)
        self.wake = asyncio.Event()
        self.sender: asyncio.Task[None] | None = None
        self.when_alone = WhenAlone(id=0, does="end")


class Server:
    """One engine: `run` works until its last client has gone, or longer if that one wished so."""

    def __init__(
        self,
        socket_path: Path,
        log: Path,
        *,
        idle_s: float = IDLE_S,
        first_client_s: float = FIRST_CLIENT_S,
    ) -> None:
        self.log = log
        self._idle_s, self._first_client_s = idle_s, first_client_s
        self._idle_since: float | None = None
        """When the work ran out; None while there is some."""
        self._alone_since = time.monotonic()
        self._socket_path = socket_path
        self._first_log = log
        self._commands: queue.SimpleQueue[tuple[_Client | None, AnyCommand] | None] = (
            queue.SimpleQueue()
        )
        self._clients: Company[_Client] = Company()
        self._clients_lock = threading.Lock()
        self._asker: _Client | None = None
        self._answer: Confirmed | Refused | None = None
        self._session: AnySession | None = None
        self._unit_began: float | None = None
        self._current = CurrentState()
        self._loop = asyncio.new_event_loop()
        self._signal_reader, self._signal_writer = socket.socketpair()
        self._ending = threading.Event()
        self._saving = threading.Event()
        self._finished = asyncio.Event()
        self._flushed = threading.Event()

    # --- the main thread ------------------------------------------------------------------------

    def run(self, make_session: SessionFactory) -> int:
        """Serve to the end. Returns the exit code."""
        self._watch_signals()
        threading.Thread(target=self._speak, name="clients", daemon=True).start()
        failed = False
        try:
            self._session = make_session(self.emit, self.adopt_log)
            self._work(self._session)
        except Exception as error:  # a bug, or torch.AcceleratorError: the CUDA context is lost
            traceback.print_exc()
            failed = True
            self._emit(EngineFailed(sentence=self._why(error)))
        self._saving.set()
        try:
            if self._session is not None:
                self._session.close()
        except Exception:
            traceback.print_exc()
            failed = True
        self._loop.call_soon_threadsafe(self._finished.set)
        self._flushed.wait(timeout=2 * FLUSH_S)
        self._socket_path.unlink(missing_ok=True)
        if not failed:
            self._first_log.unlink(missing_ok=True)  # with a run directory it is but a link
        return int(failed)

    def _work(self, session: AnySession) -> None:
        more = True
        while not self._ending.is_set():
            self._idle_since = None if more else time.monotonic()
            try:
                entry = self._commands.get(block=not more)
            except queue.Empty:
                self._unit_began = time.monotonic()
                more = session.work()
                self._unit_began = None
                continue
            if entry is not None:
                self._handle(session, *entry)
                more = True

    def _handle(self, session: AnySession, client: _Client | None, command: AnyCommand) -> None:
        self._asker, self._answer = client, None
        session.handle(command)
        self._asker = None
        if isinstance(self._answer, Confirmed):
            self._current.handled(command)
            if isinstance(command, SetMask):
                told = MaskPlanned(trainable=command.trainable, why="")
                for other in self._attached():
                    if other is not client:
                        self._put(other, told)

    def emit(self, event: AnyEvent) -> None:
        """Send an event to the clients: an answer to who asked, all else to all.

        Waits for a lossless client that has fallen behind.
        """
        self._emit(event)
        for client in self._attached():
            client.outbox.wait_for_room()

    def _emit(self, event: AnyEvent) -> None:
        with self._clients_lock:
            self._current.note(event)
            asker = None
            if isinstance(event, (Confirmed, Refused)):
                asker, self._answer = self._asker, event
            for client in [asker] if asker else self._clients:
                self._put(client, event)

    def adopt_log(self, run_dir: Path) -> None:
        """Take the log into the run directory, once the session has made it."""
        try:
            self.log = log_file.adopt(self._first_log, run_dir)
        except OSError as error:
            print(f"{run_dir} cannot hold the log: {error}", file=sys.stderr)

    def _why(self, error: Exception) -> str:
        if isinstance(error, Problem):
            return str(error)
        reason = (str(error).strip().splitlines() or [""])[0]
        what = type(error).__name__
        if what == "OutOfMemoryError":
            return f"The device ran out of memory ({reason}); try a smaller --batch-size."
        return f"The engine failed: {what}{': ' if reason else ''}{reason}. Its log: {self.log}"

    # --- ending ---------------------------------------------------------------------------------

    def _watch_signals(self) -> None:
        """SIGTERM wakes the clients' thread, so that it is heard in mid-unit too."""
        writer = self._signal_writer
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)

    def _end(self) -> None:
        """No unit begins any more; if the one that runs does not end, the process does."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._commands.put(None)
        for client in self._attached():
            client.outbox.release()
        self._loop.call_later(LAST_UNIT_S, self._exit_unless_saving)

    def _exit_unless_saving(self) -> None:
        if self._saving.is_set():
            self._loop.call_later(SAVE_S, self._exit_now)
        else:
            self._exit_now()

    def _exit_now(self) -> None:
        busy = self._session.busy if self._session else "starting"
        print(f"The engine was {busy or 'working'} and did not come to an end: it is ended.")
        sys.stdout.flush()
        self._socket_path.unlink(missing_ok=True)
        os._exit(1)

    # --- the clients' thread --------------------------------------------------------------------

    def _speak(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    async def _serve(self) -> None:
        path = os.fspath(self._socket_path)
        listener = await asyncio.start_unix_server(self._greet, path)
        self._loop.add_reader(self._signal_reader.fileno(), self._hear_signal)
        self._loop.call_later(self._first_client_s, self._end_if_unused)
        heart = self._loop.create_task(self._beat())
        await self._finished.wait()
        heart.cancel()
        listener.close()
        for client in self._attached():
            client.outbox.release()
            client.outbox.finish()
            client.wake.set()
        senders = [client.sender for client in self._attached() if client.sender]
        if senders:
            await asyncio.wait(senders, timeout=FLUSH_S)
        self._flushed.set()

    def _hear_signal(self) -> None:
        if signal.SIGTERM in self._signal_reader.recv(64):
            self._end()

    def _end_if_unused(self) -> None:
        """Nobody came, or who came has gone and nothing was trained."""
        if not self._attached() and not self._current.trained:
            self._end()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            began, session = self._unit_began, self._session
            seconds = time.monotonic() - began if began is not None else 0.0
            self._end_if_idle()
            if session is not None and seconds > HEARTBEAT_S:
                self._emit(Heartbeat(busy=session.busy or "working", seconds=seconds))

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client from its connection to its end."""
        client = None
        if not may_speak(writer):
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
    ) -> _Client | None:
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
        elif len(self._attached()) >= MOST_CLIENTS:
            refusal = f"{MOST_CLIENTS} clients are attached already; close one of them."
        if refusal or not isinstance(hello, Hello):
            writer.write(encode(Refused(id=hello.id, reason=refusal)))
            return None
        client = _Client(writer, lossless=hello.lossless)
        client.outbox.put(Confirmed(id=hello.id))
        with self._clients_lock:
            for event in self._current.events():
                client.outbox.put(event)
            self._clients.add(client)
            self._tell_company()
        return client

    def _greeting(self) -> Greeted:
        with self._clients_lock:
            opened = self._current.opened
            return Greeted(
                protocol=PROTOCOL,
                version=__version__,
                pid=os.getpid(),
                host=place.host,
                job=place.job,
                job_ends=place.job_ends,
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
            self._put(client, told)

    async def _listen(self, client: _Client, reader: asyncio.StreamReader) -> None:
        allowance = Allowance()
        while (body := await read_frame(reader, MAX_COMMAND)) is not None:
            await allowance.take()
            try:
                command = decode_command(body)
            except msgspec.DecodeError as error:  # its length was right: what follows can be read
                self._put(client, Refused(id=0, reason=why_refused(error)))
                continue
            if isinstance(command, Shutdown):
                self._put(client, Confirmed(id=command.id))
                self._end()
                continue
            if isinstance(command, (WhenAlone, TakeOver)):
                self._answer_here(client, command)
                continue
            if reason := self._clients.refusal(client, command):
                self._put(client, Refused(id=command.id, reason=reason))
                continue
            while self._commands.qsize() > COMMANDS_AHEAD:
                await asyncio.sleep(0.05)
            self._commands.put((client, command))

    def _answer_here(self, client: _Client, command: WhenAlone | TakeOver) -> None:
        """What is between the engine and its clients, and none of the session's business."""
        self._put(client, Confirmed(id=command.id))
        if isinstance(command, WhenAlone):
            client.when_alone = command
            return
        with self._clients_lock:
            self._clients.take_over(client)
            self._tell_company()

    async def _send(self, client: _Client) -> None:
        """Everything in a client's outbox, as fast as it reads."""
        client.writer.transport.set_write_buffer_limits(high=KERNEL_AHEAD)
        try:
            while True:
                client.wake.clear()
                while (message := client.outbox.take()) is not None:
                    client.writer.write(message)
                    await client.writer.drain()
                if client.outbox.finished:
                    return
                await client.wake.wait()
        except ConnectionError:
            client.outbox.close()

    def _put(self, client: _Client, event: AnyEvent) -> None:
        """From any thread."""
        if not client.outbox.put(event):
            self._loop.call_soon_threadsafe(client.writer.transport.abort)
        self._loop.call_soon_threadsafe(client.wake.set)

    def _attached(self) -> list[_Client]:
        with self._clients_lock:
            return list(self._clients)

    def _detach(self, client: _Client) -> None:
        with self._clients_lock:
            self._clients.discard(client)
            last = not self._clients
            self._alone_since = time.monotonic()
            self._tell_company()
        client.outbox.close()
        if client.sender is not None and not self._ending.is_set():
            client.sender.cancel()
        if last:
            self._left_alone(client.when_alone)

    def _left_alone(self, wish: WhenAlone) -> None:
        """The last client has gone."""
        if wish.does == "end":
            self._end()
        elif not self._current.trained:
            self._loop.call_later(wish.wait, self._end_if_unused)
        elif wish.does == "pause":
            self._commands.put((None, Pause(id=0)))

    def _end_if_idle(self) -> None:
        idle_since = self._idle_since
        if idle_since is not None and not self._attached():
            if time.monotonic() - max(idle_since, self._alone_since) > self._idle_s:
                print("It had no screen and no work any more: it ends by itself.")
                self._end()


def _die_with(parent: int) -> None:
    """Be told when the process that started this one ends, however it ends."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("The process that started this engine is gone.")


def main(arguments: list[str], make_session: SessionFactory | None = None) -> int:
    """Run an engine's process. Does not return in the end, but exits with its code.

    Args:
        arguments: `--socket PATH --log PATH [--parent PID] [--idle SECONDS]
            [--first-client SECONDS]`; standard output and error go to the log already.
        make_session: Makes the session; the real one if None.
    """
    parser = argparse.ArgumentParser(prog="tl-tui engine serve")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--parent", type=int)
    parser.add_argument("--idle", type=float, default=IDLE_S)
    parser.add_argument("--first-client", type=float, default=FIRST_CLIENT_S)
    options = parser.parse_args(arguments)
    faulthandler.enable()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if options.parent is not None:
        _die_with(options.parent)
    if make_session is None:
        from .session import Session

        make_session = Session
    times = {"idle_s": options.idle, "first_client_s": options.first_client}
    code = Server(options.socket, options.log, **times).run(make_session)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a lost CUDA context can hang the interpreter's own way out
