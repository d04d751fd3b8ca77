"""One ssh connection to a relay on a server: opened, and skipped to the relay's first line.

The user's own ssh, with its configuration, keys and agent. Before the screen is taken it asks for
passwords and host keys on the terminal itself; later it is told never to ask.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from tl_tui import __version__
from tl_tui.common.errors import Problem
from tl_tui.connect.stdio_relay import MAGIC
from tl_tui.protocol.commands import PROTOCOL

MOST_NOISE = 1024 * 1024
"""Bytes that start-up files may print before the relay speaks."""
NOT_FOUND = 127
SSH_FAILED = 255
KEEP_ALIVE = ("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3")
NEVER_ASK = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=15")


class SshProblem(Problem):
    """The server cannot be reached, now; the text says why."""


class EngineEnded(Problem):
    """The server is there and the engine is not; the text says why."""


class RelayGreeting(msgspec.Struct, frozen=True):
    """The relay's first line."""

    protocol: int
    version: str
    host: str = ""
    problem: str = ""
    gone: bool = False
    socket: str = ""
    pid: int = 0
    relay: int = 0


@dataclass
class SshConnection:
    """An open line: `socket` carries the protocol from here on."""

    process: subprocess.Popen[bytes]
    socket: socket.socket
    told: RelayGreeting
    _words: deque[str]

    def last_words(self) -> str:
        """What ssh said last on standard error."""
        return self._words[-1] if self._words else ""

    def close(self) -> None:
        """Hang up."""
        self.socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def open_connection(host: str, remote_command: str, *arguments: str, asks: bool) -> SshConnection:
    """Connect to a relay and wait for its first line.

    Args:
        host: As ssh takes it.
        remote_command: What runs tl-tui there; the shell there reads it.
        arguments: Of `tl-tui engine --stdio`.
        asks: ssh may ask on the terminal; its messages go there until the relay speaks.

    Raises:
        LineProblem: ssh fails, or there is no tl-tui.
        EngineEnded: the engine that was asked for is not there any more.
        Problem: the relay says why not, or is of another version.
    """
    words = " ".join(shlex.quote(word) for word in ("engine", "--stdio", *arguments))
    options = KEEP_ALIVE if asks else (*KEEP_ALIVE, *NEVER_ASK)
    ours, theirs = socket.socketpair()
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            ["ssh", "-T", *options, "--", host, f"{remote_command} {words}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            start_new_session=not asks,
        )
    except OSError as error:
        ours.close()
        raise SshProblem(f"ssh cannot be started ({error.strerror or error}).") from error
    finally:
        theirs.close()
    said: deque[str] = deque(maxlen=20)
    spoken = threading.Event()
    listener = threading.Thread(
        target=_listen, args=(process, said, spoken, asks), name="ssh's words", daemon=True
    )
    listener.start()
    try:
        told = _first_line(ours)
    except BaseException:
        ours.close()
        process.kill()
        process.wait()
        raise
    spoken.set()
    if told is None:
        ours.close()
        code = process.wait()
        listener.join(1.0)
        raise SshProblem(why_none(host, remote_command, code, said))
    line = SshConnection(process, ours, told, said)
    try:
        _check(told, host)
    except Problem:
        line.close()
        raise
    return line


def _first_line(stream: socket.socket) -> RelayGreeting | None:
    """Skip to the relay's line, byte by byte: what follows it is the protocol's. None at the end.

    Raises:
        LineProblem: something else never stops talking.
    """
    line, seen = bytearray(), 0
    while True:
        try:
            byte = stream.recv(1)
        except OSError:
            byte = b""
        if not byte:
            return None
        seen += 1
        if seen > MOST_NOISE:
            raise SshProblem("The server prints without end, and tl-tui does not come to speak.")
        if byte != b"\n":
            line += byte
            continue
        if line.startswith(MAGIC):
            with contextlib.suppress(msgspec.DecodeError):
                return msgspec.json.decode(bytes(line[len(MAGIC) :]), type=RelayGreeting)
        line.clear()


def _check(told: RelayGreeting, host: str) -> None:
    if told.protocol != PROTOCOL:
        raise Problem(
            f"{host} has tl-tui {told.version} (protocol {told.protocol}), here is {__version__} "
            f"(protocol {PROTOCOL}); install the same version on both sides."
        )
    if told.gone:
        raise EngineEnded(told.problem)
    if told.problem:
        raise Problem(f"{host}: {told.problem}")


def _listen(
    process: subprocess.Popen[bytes], said: deque[str], spoken: threading.Event, asks: bool
) -> None:
    """Keep what ssh and the shell say; pass it on while the terminal is still the user's."""
    assert process.stderr is not None
    with contextlib.suppress(OSError, ValueError):
        for raw in process.stderr:
            text = raw.decode(errors="replace").rstrip()
            if text:
                said.append("".join(c for c in text if c.isprintable())[:300])
            if asks and not spoken.is_set():
                os.write(sys.stderr.fileno(), raw)


def why_none(host: str, remote_command: str, code: int, said: Sequence[str] = ()) -> str:
    """Why ssh brought nobody to speak with, in a sentence, by its exit code and what was said."""
    words = said[-1].rstrip(".") if said else ""
    if code == NOT_FOUND:
        return (
            f"{host}: a shell without a terminal does not find {remote_command} there "
            f"({words or 'not found'}); say where it is: --remote-command /path/to/tl-tui."
        )
    if code == SSH_FAILED:
        return f"ssh does not reach {host}{f': {words}' if words else ''}."
    return (
        f"{host}: {remote_command} engine --stdio ended with code {code}"
        f"{f': {words}' if words else ''}; is it the same version of tl-tui?"
    )
