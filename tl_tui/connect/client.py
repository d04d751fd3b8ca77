"""Start an engine process and exchange messages with it."""

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
from tl_tui.connect.oom_kills import oom_kills
from tl_tui.connect.socket_path import log_path, new_socket_path
from tl_tui.protocol.commands import AnyCommand, Hello
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.framing import decode_event, encode
from tl_tui.protocol.framing_reader import NotThisProtocol, read_frame

LAUNCHER = Path(__file__).resolve().parents[1] / "__main__.py"
POLL_S = 0.01
"""How often to check whether an engine has started or ended."""
STOP_S = 75.0
"""How long to wait for an engine to save and exit before it is killed; its own limit is shorter."""


class EngineGone(ConnectionError):
    """There is no connection to the engine; the text is the reason, in a sentence."""


def engine_command(*arguments: str) -> list[str]:
    """Return the command line of `tl-tui engine` with some arguments.

    `-P` keeps the launcher's folder off the import path; the launcher loads the packages by path.
    """
    return [sys.executable, "-P", os.fspath(LAUNCHER), "engine", *arguments]


class EngineProcess:
    """An engine process that this process has started."""

    def __init__(self, process: subprocess.Popen[bytes], socket_path: Path) -> None:
        self._process = process
        self._socket_path = socket_path
        self._oom_kills = oom_kills()

    @classmethod
    def start(
        cls, command: Sequence[str] | None = None, *, outlives: bool = False
    ) -> EngineProcess:
        """Start an engine and return before it is ready.

        Args:
            command: The command that runs `engine.server.server.main`; None is the engine of this
                installation.
            outlives: Whether the engine continues when this process ends; `SetDisconnectAction`
                then decides what it does.

        Raises:
            SocketProblem: There is no safe folder for its socket.
            OSError: The process cannot be started.
        """
        socket_path = new_socket_path()
        arguments = ["--socket", os.fspath(socket_path), "--log", os.fspath(log_path(socket_path))]
        if not outlives and threading.current_thread() is threading.main_thread():
            # Linux signals the engine when the *thread* that started it ends, so only the main one.
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
        """The path of the engine's socket, which exists once the engine is ready."""
        return self._socket_path

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    @property
    def log(self) -> Path:
        """The path of the engine's log, which is in the run directory once there is one."""
        return log_path(self._socket_path).resolve()

    async def connect(self, *, timeout: float = 60.0, lossless: bool = False) -> Connection:
        """Wait until the engine is ready and connect to it.

        Args:
            timeout: Seconds to wait.
            lossless: Whether the client needs every event; see `Hello`.

        Raises:
            EngineGone: The engine has ended, or is not ready in time.
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
                    f"The engine has not answered within {timeout:.0f} s. Its log: {self.log}"
                )
            await asyncio.sleep(POLL_S)
        connection = Connection(self, *streams)
        connection.send(Hello(id=0, lossless=lossless))
        return connection

    def reason(self) -> str:
        """Return why the engine is gone, in a sentence, and where its log is."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)  # its socket closes shortly before it ends
        code = self._process.returncode
        last_line = last_log_line(self.log)
        detail = f": {last_line}" if last_line else ""
        if code is None:
            reason = "The engine no longer answers."
        elif code == -signal.SIGKILL:
            reason = f"The engine was killed (SIGKILL){self._memory_fact()}."
        elif code < 0:
            reason = f"The engine died of {_signal_name(-code)}{detail}."
        elif code == 0:
            return "The engine has ended."
        else:
            reason = f"The engine ended with code {code}{detail}."
        return f"{reason.replace('..', '.')} Its log: {self.log}"

    def _memory_fact(self) -> str:
        """Return whether the kernel killed processes for lack of memory since the engine began."""
        now = oom_kills()
        if now is None or self._oom_kills is None:
            return ""
        count = now - self._oom_kills
        if not count:
            return "; since it started, the kernel has killed no process for lack of memory"
        processes = "a process" if count == 1 else f"{count} processes"
        return f"; since it started, the kernel has killed {processes} for lack of memory"

    async def ended(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the engine to end; return whether it has."""
        deadline = time.monotonic() + timeout
        while self.alive and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
        return not self.alive

    async def stop(self) -> None:
        """Ask the engine to save and exit; kill it if that takes longer than `STOP_S`."""
        if self.alive:
            self._process.terminate()
            if not await self.ended(STOP_S):
                self.kill()
        self._process.wait()

    def leave(self, timeout: float) -> bool:
        """Ask the engine to save and exit, and wait at most `timeout` seconds.

        Returns:
            Whether it has ended.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.alive:
                self._process.terminate()
            self._process.wait(timeout)
        return not self.alive

    def kill(self) -> None:
        """Kill the engine; nothing is saved."""
        if self.alive:
            self._process.kill()
        self._process.wait()


class Connection:
    """A client's connection to an engine: sends commands and receives events."""

    def __init__(
        self, process: EngineProcess, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    def send(self, command: AnyCommand) -> None:
        """Send a command without waiting; do nothing if the engine is gone."""
        if not self._writer.is_closing():
            self._writer.write(encode(command))

    async def __aiter__(self) -> AsyncIterator[AnyEvent]:
        """Return the events in order, until the engine is gone; then see `EngineProcess.reason`."""
        with contextlib.suppress(ConnectionError, NotThisProtocol, msgspec.DecodeError):
            while (body := await read_frame(self._reader)) is not None:
                yield decode_event(body)
        self._writer.close()
        await self._process.ended(2.0)  # so that `reason` need not wait

    async def close(self) -> None:
        """Disconnect; see `SetDisconnectAction` for what the engine then does."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
