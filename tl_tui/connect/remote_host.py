"""The way to an engine on another machine, opened while ssh may still ask on the terminal."""

from __future__ import annotations

import shlex
import subprocess

from tl_tui.common.errors import Problem
from tl_tui.connect.ssh_connection import (
    NOT_FOUND,
    SSH_FAILED,
    SshConnection,
    open_connection,
    why_none,
)
from tl_tui.connect.ssh_link import SshLink
from tl_tui.settings.preferences import load_preferences, remember

TL_TUI = "tl-tui"


def open_first(host: str, remote_command: str | None, *arguments: str) -> tuple[str, SshConnection]:
    """Open a line to a relay; what runs tl-tui there is remembered if it was said and works.

    Args:
        host: As ssh takes it.
        remote_command: What runs tl-tui there; what was remembered for the host if None.
        arguments: Of `tl-tui engine --stdio`.

    Raises:
        Problem: there is no way.
    """
    known = load_preferences().remote_commands
    runs = _what_runs(host, remote_command)
    line = open_connection(host, runs, *arguments, asks=True)
    if remote_command is not None and known.get(host) != remote_command:
        remember(remote_commands=known | {host: remote_command})
    return runs, line


def connect(host: str, remote_command: str | None, *arguments: str) -> SshLink:
    """The link to an engine on another machine; started there, or found by `arguments`.

    Args:
        host: As ssh takes it.
        remote_command: As in `open_first`.
        arguments: As in `open_first`.

    Raises:
        Problem: there is no way.
    """
    runs, line = open_first(host, remote_command, *arguments)
    return SshLink(host, runs, line)


def run_there(host: str, remote_command: str | None, *words: str) -> int:
    """Run a command of tl-tui on another machine, and say here what it says.

    Args:
        host: As ssh takes it.
        remote_command: As in `open_first`.
        words: The command and its arguments.

    Returns:
        Its exit code.

    Raises:
        Problem: there is no ssh, no way to the machine, or no tl-tui there.
    """
    runs = _what_runs(host, remote_command)
    command = ["ssh", "-T", "--", host, f"{runs} {shlex.join(words)}"]
    try:
        code = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
    except OSError as error:
        raise Problem(f"ssh cannot be started ({error.strerror or error}).") from error
    if code in (NOT_FOUND, SSH_FAILED):
        raise Problem(why_none(host, runs, code))
    return code


def _what_runs(host: str, remote_command: str | None) -> str:
    if not host or host.startswith("-"):
        raise Problem(f"--host {host or repr('')}: name a machine as ssh takes it.")
    return remote_command or load_preferences().remote_commands.get(host, TL_TUI)
