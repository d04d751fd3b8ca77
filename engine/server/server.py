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

from engine.server.connections import FLUSH_S, Client, Connections
from engine.server.late_join import LateJoinState
from tl_tui.common.errors import Problem
from tl_tui.connect import engine_log
from tl_tui.protocol.commands import AnyCommand, Pause, SetMask, WhenAlone
from tl_tui.protocol.events import (
    AnyEvent,
    Confirmed,
    EngineFailed,
    Heartbeat,
    MaskPlanned,
    Refused,
    WorkKind,
)

HEARTBEAT_S = 1.0
LAST_UNIT_S = 10.0
"""How long the unit that runs may take to come to its end when the engine is to end."""
SAVE_S = 60.0
"""How long the session may then take to save what was trained."""
FIRST_CLIENT_S = 60.0
"""An engine that nobody speaks to within this time ends."""
IDLE_S = 30 * 60.0
"""An engine without clients and without work ends after this time: others want the GPU."""


class DispatcherLike(Protocol):
    """What the server asks of a session; see `engine.server.dispatch`."""

    @property
    def busy(self) -> str: ...
    @property
    def work_kind(self) -> WorkKind: ...

    def handle(self, command: AnyCommand) -> None: ...
    def work(self) -> bool: ...
    def close(self) -> None: ...


SessionFactory = Callable[[Callable[[AnyEvent], None], Callable[[Path], None]], DispatcherLike]
"""Makes a session from where its events go and who is told the run directory."""


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
        self._socket_path = socket_path
        self._first_log = log
        self._commands: queue.SimpleQueue[tuple[Client | None, AnyCommand] | None] = (
            queue.SimpleQueue()
        )
        self._asker: Client | None = None
        self._answer: Confirmed | Refused | None = None
        self._session: DispatcherLike | None = None
        self._unit_began: float | None = None
        self._current = LateJoinState()
        self._loop = asyncio.new_event_loop()
        self._reception = Connections(socket_path, self, self._loop, self._current)
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

    def _work(self, session: DispatcherLike) -> None:
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

    def _handle(self, session: DispatcherLike, client: Client | None, command: AnyCommand) -> None:
        self._asker, self._answer = client, None
        session.handle(command)
        self._asker = None
        if isinstance(self._answer, Confirmed):
            self._current.handled(command)
            if isinstance(command, SetMask):
                told = MaskPlanned(trainable=command.trainable, why="")
                for other in self._reception.attached():
                    if other is not client:
                        self._reception.put(other, told)

    def emit(self, event: AnyEvent) -> None:
        """Send an event to the clients: an answer to who asked, all else to all.

        Waits for a lossless client that has fallen behind.
        """
        self._emit(event)
        for client in self._reception.attached():
            client.send_queue.wait_for_room()

    def _emit(self, event: AnyEvent) -> None:
        asker = None
        if isinstance(event, (Confirmed, Refused)):
            asker, self._answer = self._asker, event
        self._reception.emit(event, asker)

    def adopt_log(self, run_dir: Path) -> None:
        """Take the log into the run directory, once the session has made it."""
        try:
            self.log = engine_log.redirect_output(self._first_log, run_dir)
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

    def end(self) -> None:
        """No unit begins any more; if the one that runs does not end, the process does."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._commands.put(None)
        self._reception.end()
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
        listener = await self._reception.open()
        self._loop.add_reader(self._signal_reader.fileno(), self._hear_signal)
        self._loop.call_later(self._first_client_s, self._end_if_unused)
        heart = self._loop.create_task(self._beat())
        await self._finished.wait()
        heart.cancel()
        listener.close()
        await self._reception.flush()
        self._flushed.set()

    def _hear_signal(self) -> None:
        if signal.SIGTERM in self._signal_reader.recv(64):
            self.end()

    def _end_if_unused(self) -> None:
        """Nobody came, or who came has gone and nothing was trained."""
        if not self._reception.attached() and not self._current.trained:
            self.end()

    def _end_if_idle(self) -> None:
        idle_since = self._idle_since
        if idle_since is not None and not self._reception.attached():
            if time.monotonic() - max(idle_since, self._reception.alone_since) > self._idle_s:
                print("It had no screen and no work any more: it ends by itself.")
                self.end()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            began, session = self._unit_began, self._session
            seconds = time.monotonic() - began if began is not None else 0.0
            self._end_if_idle()
            if session is not None and seconds > HEARTBEAT_S:
                busy, kind = session.busy or "working", session.work_kind
                self._emit(Heartbeat(busy=busy, seconds=seconds, kind=kind))

    # --- what the reception asks ----------------------------------------------------------------

    def take(self, client: Client, command: AnyCommand) -> None:
        """Do a client's command between two units of work."""
        self._commands.put((client, command))

    def waiting(self) -> int:
        """How many commands were not come to."""
        return self._commands.qsize()

    def left_alone(self, wish: WhenAlone) -> None:
        """The last client has gone."""
        if wish.does == "end":
            self.end()
        elif not self._current.trained:
            self._loop.call_later(wish.wait, self._end_if_unused)
        elif wish.does == "pause":
            self._commands.put((None, Pause(id=0)))


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
        from engine.hardware import torch_import
        from engine.server.dispatch import Dispatcher

        torch_import.start_importing()  # its client comes up meanwhile
        make_session = Dispatcher
    times = {"idle_s": options.idle, "first_client_s": options.first_client}
    code = Server(options.socket, options.log, **times).run(make_session)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a lost CUDA context can hang the interpreter's own way out
