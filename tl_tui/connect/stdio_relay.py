"""`tl-tui engine --stdio`: relay between an ssh connection and an engine on the server.

The relay finds or starts the engine, writes one line of greeting, and then copies bytes between
standard input and output and the engine's socket. The engine is another process and does not end
when the ssh connection is lost. Text before the greeting comes from the shell's start-up files.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from tl_tui import __version__
from tl_tui.common.errors import Problem
from tl_tui.common.host import this_host
from tl_tui.connect.client import POLL_S, EngineProcess
from tl_tui.connect.discovery import ask_engine, match_engines, running_engines, why_engine_is_gone
from tl_tui.connect.socket_path import socket_directory
from tl_tui.protocol.commands import PROTOCOL

MAGIC = b"tl-tui-relay:"
"""The beginning of the greeting; JSON follows."""
START_S = 60.0
"""How long to wait until a new engine is ready."""


class _EngineGone(Problem):
    """The requested engine has ended."""


def main(arguments: list[str]) -> int:
    """Relay until either side disconnects, which ends the process.

    Args:
        arguments: Without any, start an engine. `--run RUN` finds the engine of a run. `--socket
            NAME` reconnects to an engine, and `--replaces PID` ends the relay used before.

    Returns:
        The exit code, if there is no engine.
    """
    parser = argparse.ArgumentParser(prog="tl-tui engine --stdio")
    parser.add_argument("--run")
    parser.add_argument("--socket")
    parser.add_argument("--replaces", type=int)
    options = parser.parse_args(arguments)
    try:
        if options.replaces is not None:
            _end_relay(options.replaces)
        path, pid = _find_or_start(options.run, options.socket)
        engine = socket.socket(socket.AF_UNIX)
        engine.connect(os.fspath(path))
    except Problem as problem:
        _greet(problem=str(problem), gone=isinstance(problem, _EngineGone))
        return 2
    except OSError as error:
        _greet(
            problem=f"The engine does not accept connections ({error.strerror or error}).",
            gone=True,
        )
        return 2
    _greet(socket=path.name, pid=pid, relay=os.getpid())
    _copy(engine)


def _find_or_start(run: str | None, socket_name: str | None) -> tuple[Path, int]:
    """Return the socket and the process id of the requested engine."""
    if socket_name is not None:
        path = socket_directory() / Path(socket_name).name
        greeted = ask_engine(path)
        if greeted is None:
            raise _EngineGone(why_engine_is_gone(path))
        return path, greeted.pid
    if run is None:
        process = EngineProcess.start(outlives=True)
        return _wait_for_socket(process), process.pid
    engines = running_engines()
    matching = match_engines(engines, run) if run else engines
    if len(matching) == 1:
        return matching[0].socket_path, matching[0].greeted.pid
    if not engines:
        raise Problem("No run is active there.")
    names = ", ".join(engine.name for engine in (matching or engines)[:5])
    problem = "Several runs are active there" if matching else f"No run {run} is active there"
    raise Problem(f"{problem}; name one of {names}.")


def _wait_for_socket(process: EngineProcess) -> Path:
    deadline = time.monotonic() + START_S
    while process.alive and time.monotonic() < deadline:
        if ask_engine(process.socket_path) is not None:
            return process.socket_path
        time.sleep(POLL_S)
    raise Problem(process.reason())


def _end_relay(pid: int) -> None:
    """End a relay whose ssh connection was lost without the server noticing."""
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"engine" in command and b"--stdio" in command:
            os.kill(pid, signal.SIGTERM)


def _greet(**fields: object) -> None:
    """Write the greeting."""
    greeting = {"protocol": PROTOCOL, "version": __version__, "host": this_host.host, **fields}
    sys.stdout.buffer.write(b"\n" + MAGIC + json.dumps(greeting).encode() + b"\n")
    sys.stdout.buffer.flush()


def _copy(engine: socket.socket) -> NoReturn:
    """Copy bytes in both directions until one side disconnects; then end the process."""

    def copy_input() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(0, 65536):
                engine.sendall(data)
        os._exit(0)

    threading.Thread(target=copy_input, daemon=True).start()
    with contextlib.suppress(OSError):
        while data := engine.recv(65536):
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]
    os._exit(0)
