"""`tl-tui engine --stdio`: standard input and output as the way to a detached engine.

It runs on the server at the end of an ssh connection, finds or starts the engine, says so in one
line, and copies bytes to its socket and back, so that the engine does not end with the line.
Whatever the shell's start-up files printed before that line is not of this protocol. Imports no
torch.
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
from tl_tui.connect.client import LOOK_EVERY_S, EngineProcess
from tl_tui.connect.discovery import ask_engine, match_engines, running_engines, why_engine_is_gone
from tl_tui.connect.socket_path import socket_directory
from tl_tui.protocol.commands import PROTOCOL

MAGIC = b"tl-tui-relay:"
"""What the line begins with that says where it leads; JSON follows."""
START_S = 60.0


class Gone(Problem):
    """The engine that was asked for has ended."""


def main(arguments: list[str]) -> int:
    """Relay until either side hangs up.

    Args:
        arguments: None starts an engine; `--run RUN` finds the one of a run; `--socket NAME` comes
            back to one after a cut, and `--replaces PID` ends the relay that had it then.

    Returns:
        The exit code, if there is no engine to relay to.
    """
    parser = argparse.ArgumentParser(prog="tl-tui engine --stdio")
    parser.add_argument("--run")
    parser.add_argument("--socket")
    parser.add_argument("--replaces", type=int)
    options = parser.parse_args(arguments)
    try:
        if options.replaces is not None:
            _end_relay(options.replaces)
        path, pid = _engine(options.run, options.socket)
        engine = socket.socket(socket.AF_UNIX)
        engine.connect(os.fspath(path))
    except Problem as problem:
        _say(problem=str(problem), gone=isinstance(problem, Gone))
        return 2
    except OSError as error:
        _say(problem=f"The engine cannot be reached ({error.strerror or error}).", gone=True)
        return 2
    _say(socket=path.name, pid=pid, relay=os.getpid())
    _copy(engine)


def _engine(run: str | None, name: str | None) -> tuple[Path, int]:
    """The socket of the engine that is meant, and its process id."""
    if name is not None:
        path = socket_directory() / Path(name).name
        greeted = ask_engine(path)
        if greeted is None:
            raise Gone(why_engine_is_gone(path))
        return path, greeted.pid
    if run is None:
        process = EngineProcess.start(outlives=True)
        return _started(process), process.pid
    engines = running_engines()
    found = match_engines(engines, run) if run else engines
    if len(found) == 1:
        return found[0].socket_path, found[0].greeted.pid
    if not engines:
        raise Problem("No run goes on there without its screen.")
    names = ", ".join(one.name for one in (found or engines)[:5])
    what = "More than one run goes on there" if found else f"No run {run} goes on there"
    raise Problem(f"{what}; name one of {names}.")


def _started(process: EngineProcess) -> Path:
    deadline = time.monotonic() + START_S
    while process.alive and time.monotonic() < deadline:
        if ask_engine(process.socket_path) is not None:
            return process.socket_path
        time.sleep(LOOK_EVERY_S)
    raise Problem(process.reason())


def _end_relay(pid: int) -> None:
    """End a relay whose line was cut before its server noticed: its client has come back."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"engine" in words and b"--stdio" in words:
            os.kill(pid, signal.SIGTERM)


def _say(**fields: object) -> None:
    """The one line before the first message."""
    told = {"protocol": PROTOCOL, "version": __version__, "host": this_host.host, **fields}
    sys.stdout.buffer.write(b"\n" + MAGIC + json.dumps(told).encode() + b"\n")
    sys.stdout.buffer.flush()


def _copy(engine: socket.socket) -> NoReturn:
    """Copy both ways until one of them ends, which ends the process."""

    def inwards() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(0, 65536):
                engine.sendall(data)
        os._exit(0)

    threading.Thread(target=inwards, daemon=True).start()
    with contextlib.suppress(OSError):
        while data := engine.recv(65536):
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]
    os._exit(0)
