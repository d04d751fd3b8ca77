"""Open an ssh connection to a relay on a server (see `stdio_relay`).

This runs the user's own ssh, with its configuration, keys and agent. Before the app draws, ssh asks
for passwords and host keys on the terminal; for later connections asking is turned off.
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

MAX_BANNER = 1024 * 1024
"""The number of bytes that the server's start-up files may print before the relay's greeting."""
NOT_FOUND = 127
SSH_FAILED = 255
KEEP_ALIVE = ("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3")
NEVER_ASK = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=15")


class SshProblem(Problem):
    """There is no connection to the server; the text says why. Trying again may help."""


class EngineEnded(Problem):
    """The engine on the server has ended; the text says why."""


class RelayGreeting(msgspec.Struct, frozen=True):
    """The relay's first line: where it leads, or what is wrong."""

    protocol: int
    version: str
    host: str = ""
    problem: str = ""
    """Why there is no engine, in a sentence; empty if there is one."""
    gone: bool = False
    """Whether the requested engine has ended."""
    socket: str = ""
    """The name of the engine's socket."""
    pid: int = 0
    """The process id of the engine."""
    relay: int = 0
    """The process id of the relay."""


@dataclass
class SshConnection:
    """An open connection to a relay."""

    process: subprocess.Popen[bytes]
    """ssh."""
    socket: socket.socket
    """Carries the messages of the protocol in both directions."""
    greeting: RelayGreeting

    def close(self) -> None:
        """Disconnect, and end ssh."""
        self.socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def open_connection(host: str, remote_command: str, *arguments: str, asks: bool) -> SshConnection:
    """Connect to a relay and wait for its greeting.

    Args:
        host: The host, as ssh takes it.
        remote_command: The command that runs tl-tui there; the remote shell interprets it.
        arguments: Arguments of `tl-tui engine --stdio`.
        asks: Whether ssh may ask on the terminal; its messages are shown there until the greeting.

    Raises:
        SshProblem: ssh cannot connect, or tl-tui was not found there.
        EngineEnded: The requested engine has ended.
        Problem: The relay reports a problem, or is of another version.
    """
    remote_arguments = shlex.join(("engine", "--stdio", *arguments))
    options = KEEP_ALIVE if asks else (*KEEP_ALIVE, *NEVER_ASK)
    ours, theirs = socket.socketpair()
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            ["ssh", "-T", *options, "--", host, f"{remote_command} {remote_arguments}"],
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
    messages: deque[str] = deque(maxlen=20)
    greeted = threading.Event()
    reader = threading.Thread(
        target=_read_stderr, args=(process, messages, greeted, asks), name="ssh stderr", daemon=True
    )
    reader.start()
    try:
        greeting = _read_greeting(ours)
    except BaseException:
        ours.close()
        process.kill()
        process.wait()
        raise
    greeted.set()
    if greeting is None:
        ours.close()
        code = process.wait()
        reader.join(1.0)
        raise SshProblem(failure_sentence(host, remote_command, code, messages))
    connection = SshConnection(process, ours, greeting)
    try:
        _check(greeting, host)
    except Problem:
        connection.close()
        raise
    return connection


def _read_greeting(stream: socket.socket) -> RelayGreeting | None:
    """Return the relay's greeting; None if the stream ends before.

    It is read byte by byte, because what follows belongs to the protocol.

    Raises:
        SshProblem: The server prints too much before a greeting.
    """
    line, received = bytearray(), 0
    while True:
        try:
            byte = stream.recv(1)
        except OSError:
            byte = b""
        if not byte:
            return None
        received += 1
        if received > MAX_BANNER:
            raise SshProblem(
                "The server prints more than a megabyte before tl-tui starts; check the start-up "
                "files of its shell."
            )
        if byte != b"\n":
            line += byte
            continue
        if line.startswith(MAGIC):
            with contextlib.suppress(msgspec.DecodeError):
                return msgspec.json.decode(bytes(line[len(MAGIC) :]), type=RelayGreeting)
        line.clear()


def _check(greeting: RelayGreeting, host: str) -> None:
    if greeting.protocol != PROTOCOL:
        raise Problem(
            f"{host} has tl-tui {greeting.version} (protocol {greeting.protocol}), but this "
            f"machine has {__version__} (protocol {PROTOCOL}). Install the same version on both."
        )
    if greeting.gone:
        raise EngineEnded(greeting.problem)
    if greeting.problem:
        raise Problem(f"{host}: {greeting.problem}")


def _read_stderr(
    process: subprocess.Popen[bytes], messages: deque[str], greeted: threading.Event, asks: bool
) -> None:
    """Keep the messages of ssh and the remote shell; until the greeting, also show them."""
    assert process.stderr is not None
    with contextlib.suppress(OSError, ValueError):
        for raw in process.stderr:
            text = raw.decode(errors="replace").rstrip()
            if text:
                messages.append("".join(c for c in text if c.isprintable())[:300])
            if asks and not greeted.is_set():
                os.write(sys.stderr.fileno(), raw)


def failure_sentence(
    host: str, remote_command: str, code: int, messages: Sequence[str] = ()
) -> str:
    """Return why there is no connection to tl-tui, in a sentence.

    Args:
        host: The host, as ssh takes it.
        remote_command: The command that was run there.
        code: The exit code of ssh.
        messages: Lines that ssh and the remote shell have printed on standard error.
    """
    last = messages[-1].rstrip(".") if messages else ""
    detail = f": {last}" if last else ""
    if code == NOT_FOUND:
        return (
            f"{host}: a shell without a terminal does not find {remote_command} there "
            f"({last or 'not found'}); give its path: --remote-command /path/to/tl-tui."
        )
    if code == SSH_FAILED:
        return f"ssh cannot connect to {host}{detail}."
    return (
        f"{host}: {remote_command} engine --stdio ended with code {code}{detail}; "
        "is it the same version of tl-tui?"
    )
