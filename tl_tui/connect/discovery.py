"""Engines that are there already: which run each has, and the way back to it. Imports no torch."""

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
from tl_tui.connect.client import LOOK_EVERY_S, EngineProcess
from tl_tui.connect.engine_log import last_log_line
from tl_tui.connect.socket_path import log_path, socket_directory
from tl_tui.protocol.commands import PROTOCOL
from tl_tui.protocol.events import Greeted
from tl_tui.protocol.framing import MAX_MESSAGE, decode_event

ANSWER_S = 30.0
"""How long an engine may take to greet: it does so in any unit, but may be stopped (SIGSTOP)."""


@dataclass(frozen=True)
class RunningEngine:
    """An engine and what it said of itself."""

    socket_path: Path
    greeted: Greeted

    @property
    def name(self) -> str:
        """Of its run; empty while it has none."""
        return Path(self.greeted.run_dir).name


def running_engines() -> list[RunningEngine]:
    """The user's engines on this machine that have a session, the newest run first.

    Raises:
        SocketProblem: the folder of the sockets is not safe.
    """
    paths = list(socket_directory().glob("*.sock"))
    with ThreadPoolExecutor(max_workers=16) as asking:  # one that is stopped holds up no other
        told = list(asking.map(ask_engine, paths))
    found = [
        RunningEngine(path, greeted)
        for path, greeted in zip(paths, told, strict=True)
        if greeted is not None and greeted.run_dir
    ]
    return sorted(found, key=lambda one: one.name, reverse=True)


def match_engines(engines: list[RunningEngine], run: str) -> list[RunningEngine]:
    """Those that a name, the beginning of one, or a run directory may mean.

    Args:
        engines: To choose from.
        run: As the user gave it.
    """
    path = os.path.realpath(run)
    exact = [
        one for one in engines if one.name == run or os.path.realpath(one.greeted.run_dir) == path
    ]
    return exact or [one for one in engines if run and one.name.startswith(run)]


def ask_engine(socket_path: Path) -> Greeted | None:
    """What an engine says to a visitor; None if nothing that can be understood comes."""
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.settimeout(ANSWER_S)
        try:
            visitor.connect(os.fspath(socket_path))
            length = int.from_bytes(_exactly(visitor, 4), "big")
            if length > MAX_MESSAGE:
                return None
            event = decode_event(_exactly(visitor, length))
        except (OSError, EOFError, msgspec.DecodeError):
            return None
    return event if isinstance(event, Greeted) else None


def why_engine_is_gone(socket_path: Path) -> str:
    """The last words of an engine that is not there any more: its end takes its socket away."""
    if not socket_path.exists():
        return "The engine has ended."
    log = log_path(socket_path).resolve()
    words = last_log_line(log)
    return f"The engine died{f': {words}' if words else ''}. Its log: {log}"


def check_version(greeted: Greeted, where: str) -> None:
    """Refuse an engine of another version.

    Args:
        greeted: What it said.
        where: Such as `gpu1` or `the engine of RUN`.

    Raises:
        Problem: it speaks another protocol.
    """
    if greeted.protocol != PROTOCOL:
        raise Problem(
            f"{where} has tl-tui {greeted.version} (protocol {greeted.protocol}), here is "
            f"{__version__} (protocol {PROTOCOL}); install the same version on both sides."
        )


def _exactly(stream: socket.socket, count: int) -> bytes:
    read = b""
    while len(read) < count:
        part = stream.recv(count - len(read))
        if not part:
            raise EOFError
        read += part
    return read


class AttachedEngine(EngineProcess):
    """An engine that somebody else started: no child of this process."""

    def __init__(self, found: RunningEngine) -> None:
        self._pid = found.greeted.pid
        self._socket_path = found.socket_path

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
            return False  # the number went to a process of somebody else
        with contextlib.suppress(OSError, IndexError):
            about = Path(f"/proc/{self._pid}/stat").read_text()
            return about.rpartition(")")[2].split()[0] != "Z"
        return True

    def reason(self) -> str:
        """Why the engine is gone, in a sentence; its exit code is only its parent's to know."""
        if self.alive:
            return f"The engine does not answer any more. Its log: {self.log}"
        return why_engine_is_gone(self._socket_path)

    async def stop(self) -> None:
        if self.alive:
            os.kill(self._pid, signal.SIGTERM)

    def leave(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        if self.alive:
            os.kill(self._pid, signal.SIGTERM)
        while self.alive and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S)
        return not self.alive

    def kill(self) -> None:
        if self.alive:
            os.kill(self._pid, signal.SIGKILL)
