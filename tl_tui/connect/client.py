"""Start an engine and speak with it. Imports no torch, and returns before the engine is up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from tl_tui.connect.engine_log import last_log_line
from tl_tui.connect.malloc_env import malloc_environment
from tl_tui.connect.socket_path import log_path, new_socket_path
from tl_tui.protocol.commands import AnyCommand, Hello
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.framing import decode_event, encode
from tl_tui.protocol.framing_reader import NotThisProtocol, read_frame

LAUNCHER = Path(__file__).resolve().parents[1] / "__main__.py"
LOOK_EVERY_S = 0.01
STOP_S = 75.0
"""How long an engine may take to end; it ends itself earlier, and sooner if it has not to save."""


class EngineGone(ConnectionError):
    """The engine cannot be spoken to; the text is the reason, in a sentence."""


def engine_command(*arguments: str) -> list[str]:
    """The command line of one of the processes that import torch (`engine.__main__`).

    `-P` keeps the folder of the launcher off the import path; the launcher claims the names.
    """
    return [sys.executable, "-P", os.fspath(LAUNCHER), "engine", *arguments]


class EngineProcess:
    """An engine that was started here."""

    def __init__(self, process: subprocess.Popen[bytes], socket_path: Path) -> None:
        self._process = process
        self._socket_path = socket_path

    @classmethod
    def start(
        cls, command: Sequence[str] | None = None, *, outlives: bool = False
    ) -> EngineProcess:
        """Start an engine and return at once.

        Args:
            outlives: It does not end because this process does; what it does without clients is
                what its last one wished (`SetDisconnectAction`).
            command: What runs `engine.server.server.main` with the arguments that are added to it;
                the engine of this installation if None.

        Raises:
            SocketProblem: there is no safe place for its socket.
            OSError: the process cannot be started.
        """
        socket_path = new_socket_path()
        arguments = ["--socket", os.fspath(socket_path), "--log", os.fspath(log_path(socket_path))]
        if not outlives and threading.current_thread() is threading.main_thread():
            # Linux tells the engine of the end of the *thread* that started it.
            arguments += ["--parent", str(os.getpid())]
        with open(log_path(socket_path), "ab") as log:
            process = subprocess.Popen(
                [*(command or engine_command("serve")), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=malloc_environment(os.environ),
            )
        return cls(process, socket_path)

    @property
    def socket_path(self) -> Path:
        """Where it listens, or will in a moment."""
        return self._socket_path

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def log(self) -> Path:
        """Where the engine's log is now: in the run directory, once there is one."""
        return log_path(self._socket_path).resolve()

    async def connect(self, *, timeout: float = 60.0, lossless: bool = False) -> Connection:
        """Wait for the engine's socket and say hello.

        Args:
            timeout: Seconds; it takes a fraction of one, but machines can be slow.
            lossless: Every event is wanted, and the engine waits for it; else the latest state.

        Raises:
            EngineGone: it ended before, or does not answer.
        """
        deadline = time.monotonic() + timeout
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionError):
                streams = await asyncio.open_unix_connection(os.fspath(self._socket_path))
                break
            if not self.alive:
                raise EngineGone(self.reason())
            if time.monotonic() > deadline:
                raise EngineGone(
                    f"The engine has not answered for {timeout:.0f} s. Its log: {self.log}"
                )
            await asyncio.sleep(LOOK_EVERY_S)
        connection = Connection(self, *streams)
        connection.send(Hello(id=0, lossless=lossless))
        return connection

    def reason(self) -> str:
        """Why the engine is gone, in a sentence, with where its log is."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)  # its socket closes a moment before it ends
        code = self._process.returncode
        words = last_log_line(self.log)
        if code is None:
            reason = "The engine does not answer any more."
        elif code == -signal.SIGKILL:
            reason = "The engine was killed (SIGKILL), perhaps by the system for want of memory."
        elif code < 0:
            reason = f"The engine died of {_signal_name(-code)}{f': {words}' if words else ''}."
        elif code == 0:
            return "The engine has ended."
        else:
            reason = f"The engine ended with code {code}{f': {words}' if words else ''}."
        return f"{reason.replace('..', '.')} Its log: {self.log}"

    async def ended(self, timeout: float) -> bool:
        """Wait for its end, at most `timeout` seconds. Returns whether it has come."""
        deadline = time.monotonic() + timeout
        while self.alive and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_EVERY_S)
        return not self.alive

    async def stop(self) -> None:
        """End the engine: at the end of its unit, or after some seconds anyway."""
        if self.alive:
            self._process.terminate()
            if not await self.ended(STOP_S):
                self.kill()
        self._process.wait()

    def leave(self, timeout: float) -> bool:
        """Wait for the end of an engine whose last client has gone, at most `timeout` seconds.

        Returns:
            Whether it has come.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.alive:
                self._process.terminate()
            self._process.wait(timeout)
        return not self.alive

    def kill(self) -> None:
        """End the engine at once."""
        if self.alive:
            self._process.kill()
        self._process.wait()


class Connection:
    """A client's side of the socket: commands out, events in."""

    def __init__(
        self, process: EngineProcess, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    def send(self, command: AnyCommand) -> None:
        """Send a command; never waits. Nothing happens if the engine is gone."""
        if not self._writer.is_closing():
            self._writer.write(encode(command))

    async def __aiter__(self) -> AsyncIterator[AnyEvent]:
        """The events, in order. Ends when the engine is gone; `EngineProcess.reason` says why."""
        with contextlib.suppress(ConnectionError, NotThisProtocol, msgspec.DecodeError):
            while (body := await read_frame(self._reader)) is not None:
                yield decode_event(body)
        self._writer.close()
        await self._process.ended(2.0)  # so that the reason can be told without waiting

    async def close(self) -> None:
        """Go. The engine ends if this was its last client."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
