"""Find the engines that are running, and attach to one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tl_tui import __version__
from tl_tui.common.errors import Problem
from tl_tui.connect.client import POLL_S, EngineProcess
from tl_tui.connect.engine_log import last_log_line
from tl_tui.connect.socket_path import log_path, socket_directory
from tl_tui.protocol.commands import PROTOCOL
from tl_tui.protocol.events import Greeted
from tl_tui.protocol.framing import MAX_MESSAGE, decode_event

ANSWER_S = 30.0
"""How long to wait for `Greeted`; a stopped engine (SIGSTOP) does not answer."""


@dataclass(frozen=True)
class RunningEngine:
    """A running engine."""

    socket_path: Path
    greeted: Greeted

    @property
    def name(self) -> str:
        """The name of its run; empty while it has none."""
        return Path(self.greeted.run_dir).name


def running_engines() -> list[RunningEngine]:
    """Return the user's engines on this machine that have a run, newest run first.

    Raises:
        SocketProblem: The folder of the sockets is not safe.
    """
    paths = list(socket_directory().glob("*.sock"))
    with ThreadPoolExecutor(max_workers=16) as pool:  # a stopped engine must not delay the others
        greetings = list(pool.map(ask_engine, paths))
    engines = [
        RunningEngine(path, greeted)
        for path, greeted in zip(paths, greetings, strict=True)
        if greeted is not None and greeted.run_dir
    ]
    return sorted(engines, key=lambda engine: engine.name, reverse=True)


def match_engines(engines: list[RunningEngine], run: str) -> list[RunningEngine]:
    """Return the engines whose run has this path or name, or else a name that begins with it.

    Args:
        engines: The engines to choose from.
        run: The path, the name, or the beginning of the name.
    """
    path = os.path.realpath(run)
    exact = [
        engine
        for engine in engines
        if engine.name == run or os.path.realpath(engine.greeted.run_dir) == path
    ]
    return exact or [engine for engine in engines if run and engine.name.startswith(run)]


def ask_engine(socket_path: Path) -> Greeted | None:
    """Return the `Greeted` event of an engine; None if it does not answer with one."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_S)
        try:
            connection.connect(os.fspath(socket_path))
            length = int.from_bytes(_read_exactly(connection, 4), "big")
            if length > MAX_MESSAGE:
                return None
            event = decode_event(_read_exactly(connection, length))
        except (OSError, EOFError, msgspec.DecodeError):
            return None
    return event if isinstance(event, Greeted) else None


def why_engine_is_gone(socket_path: Path) -> str:
    """Return why an engine is gone, in a sentence; one that ended normally removed its socket."""
    if not socket_path.exists():
        return "The engine has ended."
    log = log_path(socket_path).resolve()
    last_line = last_log_line(log)
    return f"The engine died{f': {last_line}' if last_line else ''}. Its log: {log}"


def check_version(greeted: Greeted, where: str) -> None:
    """Check that an engine speaks the protocol of this version.

    Args:
        greeted: The engine's first message.
        where: The engine as the error names it, such as `gpu1` or `the engine of RUN`.

    Raises:
        Problem: It speaks another protocol.
    """
    if greeted.protocol != PROTOCOL:
        raise Problem(
            f"{where} has tl-tui {greeted.version} (protocol {greeted.protocol}), but this is "
            f"{__version__} (protocol {PROTOCOL}); install the same version on both sides."
        )


def _read_exactly(stream: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = stream.recv(count - len(received))
        if not part:
            raise EOFError
        received += part
    return received


class AttachedEngine(EngineProcess):
    """An engine that another process has started."""

    def __init__(self, engine: RunningEngine) -> None:
        self._pid = engine.greeted.pid
        self._socket_path = engine.socket_path

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def alive(self) -> bool:
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return False  # another user's process has this id now
        with contextlib.suppress(OSError, IndexError):
            status = Path(f"/proc/{self._pid}/stat").read_text(encoding="utf-8", errors="replace")
            return status.rpartition(")")[2].split()[0] != "Z"
        return True

    def reason(self) -> str:
        """Return why the engine is gone, in a sentence, without its exit code, which only its
        parent process can read."""
        if self.alive:
            return f"The engine no longer answers. Its log: {self.log}"
        return why_engine_is_gone(self._socket_path)

    async def stop(self) -> None:
        if self.alive:
            os.kill(self._pid, signal.SIGTERM)

    def leave(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        if self.alive:
            os.kill(self._pid, signal.SIGTERM)
        while self.alive and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return not self.alive

    def kill(self) -> None:
        if self.alive:
            os.kill(self._pid, signal.SIGKILL)
