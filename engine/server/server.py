"""The engine's process: the main loop, the socket for its clients, and how the engine ends.

It has two threads. The main thread passes the clients' commands to the dispatcher; while there are
none, the dispatcher does one unit of work after another. The clients' thread communicates with the
clients even during a unit. Clients can therefore distinguish a busy engine from a dead one, and a
slow client does not slow down a training step.
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

from engine.server.connections import FLUSH_S, Client, Connections
from engine.server.late_join import LateJoinState
from tl_tui.common.errors import Problem
from tl_tui.connect import engine_log
from tl_tui.protocol.commands import AnyCommand, Pause, SetDisconnectAction, SetMask
from tl_tui.protocol.events import AnyEvent, Confirmed, EngineFailed, Heartbeat, Refused, WorkKind
from tl_tui.protocol.session import MaskPlanned

HEARTBEAT_S = 1.0
LAST_UNIT_S = 10.0
"""Seconds that the current unit of work may still take when the engine is to end."""
SAVE_S = 60.0
"""Seconds that the session may then take to save the run."""
FIRST_CLIENT_S = 60.0
"""Seconds after which an engine ends if no client has connected."""
IDLE_S = 30 * 60.0
"""Seconds after which an engine without clients and without work ends, to free the GPU."""


class DispatcherLike(Protocol):
    """What the server needs of a dispatcher; `engine.server.dispatch.Dispatcher` is the real one.

    All methods are called in the main thread.
    """

    @property
    def busy(self) -> str:
        """The name of the current unit of work; empty between units."""

    @property
    def work_kind(self) -> WorkKind:
        """Whether the current unit of work is a train step."""

    def handle(self, command: AnyCommand) -> None:
        """Execute a command or queue it for `work`; emit one `Confirmed` or `Refused`."""

    def work(self) -> bool:
        """Do one unit of work; return False if there was none."""

    def close(self) -> None:
        """Save the run and close its files."""


DispatcherFactory = Callable[[Callable[[AnyEvent], None], Callable[[Path], None]], DispatcherLike]
"""Makes a dispatcher from two callbacks: one for the events, one for the new run directory."""


class Server:
    """One engine. `run` returns when the engine ends, usually when its last client has left."""

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
        """When the last unit of work ended; None while there is work."""
        self._socket_path = socket_path
        self._first_log = log
        self._commands: queue.SimpleQueue[tuple[Client | None, AnyCommand] | None] = (
            queue.SimpleQueue()
        )
        self._requester: Client | None = None
        """The client whose command is being handled."""
        self._answer: Confirmed | Refused | None = None
        self._dispatcher: DispatcherLike | None = None
        self._unit_started: float | None = None
        self._state = LateJoinState()
        self._loop = asyncio.new_event_loop()
        self._connections = Connections(socket_path, self, self._loop, self._state)
        self._signal_reader, self._signal_writer = socket.socketpair()
        self._ending = threading.Event()
        self._saving = threading.Event()
        self._finished = asyncio.Event()
        self._flushed = threading.Event()

    # --- the main thread ------------------------------------------------------------------------

    def run(self, make_dispatcher: DispatcherFactory) -> int:
        """Run the engine until it ends. Returns the exit code."""
        self._watch_signals()
        threading.Thread(target=self._run_clients_thread, name="clients", daemon=True).start()
        failed = False
        try:
            self._dispatcher = make_dispatcher(self.emit, self.move_log)
            self._main_loop(self._dispatcher)
        except Exception as error:  # a bug, or torch.AcceleratorError: the CUDA context is lost
            traceback.print_exc()
            failed = True
            self._emit(EngineFailed(sentence=self._failure_text(error)))
        self._saving.set()
        try:
            if self._dispatcher is not None:
                self._dispatcher.close()
        except Exception:
            traceback.print_exc()
            failed = True
        self._loop.call_soon_threadsafe(self._finished.set)
        self._flushed.wait(timeout=2 * FLUSH_S)
        self._socket_path.unlink(missing_ok=True)
        if not failed:
            # The log itself, or a link to it once it was moved to the run directory.
            self._first_log.unlink(missing_ok=True)
        return int(failed)

    def _main_loop(self, dispatcher: DispatcherLike) -> None:
        """Handle commands; do units of work while there are none. Returns when the engine ends."""
        has_work = True
        while not self._ending.is_set():
            self._idle_since = None if has_work else time.monotonic()
            try:
                entry = self._commands.get(block=not has_work)
            except queue.Empty:
                self._unit_started = time.monotonic()
                has_work = dispatcher.work()
                self._unit_started = None
                continue
            if entry is not None:
                self._handle(dispatcher, *entry)
                has_work = True

    def _handle(
        self, dispatcher: DispatcherLike, client: Client | None, command: AnyCommand
    ) -> None:
        self._requester, self._answer = client, None
        dispatcher.handle(command)
        self._requester = None
        if isinstance(self._answer, Confirmed):
            self._state.record_command(command)
            if isinstance(command, SetMask):
                planned = MaskPlanned(trainable=command.trainable, reason="")
                for other in self._connections.attached():
                    if other is not client:
                        self._connections.send(other, planned)

    def emit(self, event: AnyEvent) -> None:
        """Send an event to all clients; `Confirmed` and `Refused` only to the requesting client.

        Blocks while a lossless client lags behind.
        """
        self._emit(event)
        for client in self._connections.attached():
            client.send_queue.wait_for_room()

    def _emit(self, event: AnyEvent) -> None:
        requester = None
        if isinstance(event, (Confirmed, Refused)):
            requester, self._answer = self._requester, event
        self._connections.emit(event, requester)

    def move_log(self, run_dir: Path) -> None:
        """Move the log to the run directory, once the session has created it."""
        try:
            self.log = engine_log.redirect_output(self._first_log, run_dir)
        except OSError as error:
            print(f"{run_dir} cannot hold the log: {error}", file=sys.stderr)

    def _failure_text(self, error: Exception) -> str:
        if isinstance(error, Problem):
            return str(error)
        reason = (str(error).strip().splitlines() or [""])[0]
        kind = type(error).__name__
        if kind == "OutOfMemoryError":
            return f"The device ran out of memory ({reason}); try a smaller --batch-size."
        return f"The engine failed: {kind}{': ' if reason else ''}{reason}. Its log: {self.log}"

    # --- ending ---------------------------------------------------------------------------------

    def _watch_signals(self) -> None:
        """Let SIGTERM wake the clients' thread, because a unit of work can block the main one."""
        writer = self._signal_writer
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)

    def end(self) -> None:
        """End after the current unit of work; exit the process if that unit takes too long."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._commands.put(None)
        self._connections.end()
        self._loop.call_later(LAST_UNIT_S, self._exit_unless_saving)

    def _exit_unless_saving(self) -> None:
        if self._saving.is_set():
            self._loop.call_later(SAVE_S, self._exit_now)
        else:
            self._exit_now()

    def _exit_now(self) -> None:
        busy = self._dispatcher.busy if self._dispatcher else "starting"
        print(f"The engine did not end in time ({busy or 'working'}), so it is stopped now.")
        sys.stdout.flush()
        self._socket_path.unlink(missing_ok=True)
        os._exit(1)

    # --- the clients' thread --------------------------------------------------------------------

    def _run_clients_thread(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    async def _serve(self) -> None:
        listener = await self._connections.open()
        self._loop.add_reader(self._signal_reader.fileno(), self._on_signal)
        self._loop.call_later(self._first_client_s, self._end_if_unused)
        heartbeats = self._loop.create_task(self._send_heartbeats())
        await self._finished.wait()
        heartbeats.cancel()
        listener.close()
        await self._connections.flush()
        self._flushed.set()

    def _on_signal(self) -> None:
        if signal.SIGTERM in self._signal_reader.recv(64):
            self.end()

    def _end_if_unused(self) -> None:
        """End if no client is connected and nothing was trained."""
        if not self._connections.attached() and not self._state.trained:
            self.end()

    def _end_if_idle(self) -> None:
        """End if there was neither a client nor work for `idle_s` seconds."""
        idle_since = self._idle_since
        if idle_since is not None and not self._connections.attached():
            if time.monotonic() - max(idle_since, self._connections.alone_since) > self._idle_s:
                print(f"The engine ends: no screen and no work for {self._idle_s:.0f} s.")
                self.end()

    async def _send_heartbeats(self) -> None:
        """Report about once a second that a long unit of work is running, and then its end."""
        reported = False
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            started, dispatcher = self._unit_started, self._dispatcher
            seconds = time.monotonic() - started if started is not None else 0.0
            self._end_if_idle()
            if dispatcher is not None and seconds > HEARTBEAT_S:
                activity, kind = dispatcher.busy or "working", dispatcher.work_kind
                self._emit(Heartbeat(activity=activity, seconds=seconds, kind=kind))
                reported = True
            elif reported:
                self._emit(Heartbeat(activity="", seconds=0.0))
                reported = False

    # --- called by the connections --------------------------------------------------------------

    def submit(self, client: Client, command: AnyCommand) -> None:
        """Queue a client's command, to be handled between two units of work."""
        self._commands.put((client, command))

    def pending_commands(self) -> int:
        """Return the number of commands that are still queued."""
        return self._commands.qsize()

    def last_client_left(self, on_disconnect: SetDisconnectAction) -> None:
        """End, pause or keep training, as the last client asked for."""
        if on_disconnect.action == "end":
            self.end()
        elif not self._state.trained:
            self._loop.call_later(on_disconnect.wait_seconds, self._end_if_unused)
        elif on_disconnect.action == "pause":
            self._commands.put((None, Pause(id=0)))


def _end_with_parent(parent: int) -> None:
    """Make the kernel send SIGTERM when the process that started this one ends (Linux only)."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("The process that started this engine has ended.")


def main(arguments: list[str], make_dispatcher: DispatcherFactory | None = None) -> int:
    """Run an engine's process. Exits the process instead of returning.

    Args:
        arguments: `--socket PATH --log PATH [--parent PID] [--idle SECONDS]
            [--first-client SECONDS]`. Standard output and error must already go to the log.
        make_dispatcher: Makes the dispatcher; `Dispatcher` itself if None.
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
        _end_with_parent(options.parent)
    if make_dispatcher is None:
        from engine.hardware import torch_import
        from engine.server.dispatch import Dispatcher

        torch_import.start_importing()  # while its client starts
        make_dispatcher = Dispatcher
    times = {"idle_s": options.idle, "first_client_s": options.first_client}
    code = Server(options.socket, options.log, **times).run(make_dispatcher)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the interpreter's normal exit can hang if the CUDA context is lost
