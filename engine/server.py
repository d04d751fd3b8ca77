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
from .outbox import Outbox
from .problem import Problem
from .protocol import (
    MAX_MESSAGE,
    PROTOCOL,
    AnyCommand,
    AnyEvent,
    Confirmed,
    EngineFailed,
    Greeted,
    Heartbeat,
    Hello,
    NormModeChanged,
    Refused,
    SessionOpened,
    SetMask,
    Shutdown,
    StartedOver,
    StartOverUndone,
    StepTaken,
    Validated,
    decode_command,
)

HEARTBEAT_S = 1.0
LAST_UNIT_S = 10.0
"""How long the unit that runs may take to come to its end when the engine is to end."""
FIRST_CLIENT_S = 60.0
"""An engine that nobody speaks to within this time ends."""
COMMANDS_AHEAD = 1000
"""Commands that may wait; beyond, a client is not read from."""


class AnySession(Protocol):
    """What the server asks of a session; see `engine.session`."""

    busy: str

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


class Server:
    """One engine: `run` works until the last client has gone."""

    def __init__(self, socket_path: Path, log: Path) -> None:
        self.log = log
        self._socket_path = socket_path
        self._first_log = log
        self._commands: queue.SimpleQueue[tuple[_Client, AnyCommand] | None] = queue.SimpleQueue()
        self._clients: set[_Client] = set()
        self._clients_lock = threading.Lock()
        self._asker: _Client | None = None
        self._session: AnySession | None = None
        self._unit_began: float | None = None
        self._current: dict[type, AnyEvent] = {}
        """What a client that attaches later has to know, by kind."""
        self._loop = asyncio.new_event_loop()
        self._ending = threading.Event()
        self._flushed = threading.Event()
        self._code = 0

    # --- the main thread ------------------------------------------------------------------------

    def run(self, make_session: SessionFactory) -> int:
        """Serve until the last client has gone. Returns the exit code."""
        self._watch_signals()
        threading.Thread(target=self._speak, name="clients", daemon=True).start()
        try:
            self._session = make_session(self.emit, self.adopt_log)
            self._work(self._session)
        except Exception as error:  # torch.AcceleratorError: the CUDA context is lost; and bugs
            traceback.print_exc()
            self._code = 1
            self._emit(EngineFailed(sentence=self._why(error)))
        try:
            if self._session is not None:
                self._session.close()
        except Exception:
            traceback.print_exc()
            self._code = 1
        self._end()
        self._flushed.wait(timeout=2)
        self._socket_path.unlink(missing_ok=True)
        if self._code == 0:
            self._first_log.unlink(missing_ok=True)  # with a run directory it is but a link
        return self._code

    def _work(self, session: AnySession) -> None:
        more = True
        while not self._ending.is_set():
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

    def _handle(self, session: AnySession, client: _Client, command: AnyCommand) -> None:
        self._asker = client
        session.handle(command)
        self._asker = None
        opened = self._current.get(SessionOpened)
        if isinstance(command, SetMask) and isinstance(opened, SessionOpened):
            self._current[SessionOpened] = msgspec.structs.replace(
                opened, wanted=command.trainable, strategy=None
            )

    def emit(self, event: AnyEvent) -> None:
        """Send an event to the clients: an answer to who asked, all else to all.

        Waits for a lossless client that has fallen behind.
        """
        self._emit(event)
        for client in self._attached():
            client.outbox.wait_for_room()

    def _emit(self, event: AnyEvent) -> None:
        with self._clients_lock:
            self._remember(event)
            asker = self._asker if isinstance(event, (Confirmed, Refused)) else None
            for client in [asker] if asker else self._clients:
                self._put(client, event)

    def adopt_log(self, run_dir: Path) -> None:
        """Take the log into the run directory, once the session has made it."""
        try:
            self.log = log_file.adopt(self._first_log, run_dir)
        except OSError as error:
            print(f"{run_dir} cannot hold the log: {error}", file=sys.stderr)

    def _remember(self, event: AnyEvent) -> None:
        """Keep the current state for clients that attach later."""
        opened = self._current.get(SessionOpened)
        match event:
            case SessionOpened():
                self._current = {SessionOpened: event}
                return
            case StepTaken():
                if event.rows or StepTaken not in self._current:
                    self._current[StepTaken] = event
            case Validated():
                self._current[Validated] = event
            case StartedOver():
                self._current.pop(StepTaken, None)
                self._current.pop(Validated, None)
        if not isinstance(opened, SessionOpened):
            return
        match event:
            case StepTaken() | StartOverUndone():
                opened = msgspec.structs.replace(opened, start=event.start, step=event.step)
            case StartedOver():
                opened = msgspec.structs.replace(opened, start=event.start, step=0)
            case NormModeChanged():
                modes = {**opened.norm_modes, **dict.fromkeys(event.owners, event.mode)}
                opened = msgspec.structs.replace(opened, norm_modes=modes)
        self._current[SessionOpened] = opened

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
        """SIGTERM is seen by the other thread, in mid-unit too."""
        self._signal_reader, signal_writer = socket.socketpair()
        self._signal_reader.setblocking(False)
        signal_writer.setblocking(False)
        self._signal_writer = signal_writer
        signal.set_wakeup_fd(signal_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)

    def _end(self) -> None:
        """Let both threads come to their end. From any thread."""
        self._ending.set()
        self._commands.put(None)
        for client in self._attached():
            if client.outbox.lossless:
                client.outbox.wait_for_room = lambda: None  # type: ignore[method-assign]
        self._loop.call_soon_threadsafe(self._ending_seen.set)
