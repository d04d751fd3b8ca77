"""Connect to an engine on another machine while ssh may still ask on the terminal."""

from __future__ import annotations

import shlex
import subprocess

from tl_tui.common.errors import Problem
from tl_tui.connect.ssh_connection import (
    NOT_FOUND,
    SSH_FAILED,
    SshConnection,
    failure_sentence,
    open_connection,
)
from tl_tui.connect.ssh_link import SshLink
from tl_tui.settings.preferences import load_preferences, remember

TL_TUI = "tl-tui"


def _open_first(
    host: str, remote_command: str | None, *arguments: str
) -> tuple[str, SshConnection]:
    """Open a connection to a relay, and remember the remote command if it was given and works.

    Args:
        host: The host, as ssh takes it.
        remote_command: The command that runs tl-tui there; None is the one remembered for the host.
        arguments: Arguments of `tl-tui engine --stdio`.

    Returns:
        The remote command, and the connection.

    Raises:
        Problem: The connection failed.
    """
    known = load_preferences().remote_commands
    command = _remote_command(host, remote_command)
    connection = open_connection(host, command, *arguments, asks=True)
    if remote_command is not None and known.get(host) != remote_command:
        remember(remote_commands=known | {host: remote_command})
    return command, connection


def connect(host: str, remote_command: str | None, *arguments: str) -> SshLink:
    """Return a link to an engine on another machine, which is started there or found.

    Args:
        host: The host, as ssh takes it.
        remote_command: The command that runs tl-tui there; None is the one remembered for the host.
        arguments: Arguments of `tl-tui engine --stdio`; without any, it starts an engine.

    Raises:
        Problem: The connection failed.
    """
    command, connection = _open_first(host, remote_command, *arguments)
    return SshLink(host, command, connection)


def run_remotely(host: str, remote_command: str | None, *arguments: str) -> int:
    """Run a command of tl-tui on another machine; its output goes to this terminal.

    Args:
        host: The host, as ssh takes it.
        remote_command: The command that runs tl-tui there; None is the one remembered for the host.
        arguments: The subcommand of tl-tui and its arguments.

    Returns:
        The exit code.

    Raises:
        Problem: ssh cannot be started or connect, or tl-tui was not found there.
    """
    remote = _remote_command(host, remote_command)
    command = ["ssh", "-T", "--", host, f"{remote} {shlex.join(arguments)}"]
    try:
        code = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
    except OSError as error:
        raise Problem(f"ssh cannot be started ({error.strerror or error}).") from error
    if code in (NOT_FOUND, SSH_FAILED):
        raise Problem(failure_sentence(host, remote, code))
    return code


def _remote_command(host: str, remote_command: str | None) -> str:
    if not host or host.startswith("-"):
        raise Problem(f"--host {host or repr('')}: name a host as ssh takes it.")
    return remote_command or load_preferences().remote_commands.get(host, TL_TUI)
