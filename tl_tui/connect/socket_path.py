"""The paths of an engine's socket and first log, in a folder of the user's own under /tmp.

As for tmux, $XDG_RUNTIME_DIR does not serve: it is removed at logout, and unset in containers and
batch jobs. A path in the run directory could be too long for a Unix socket.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import stat
import time
from pathlib import Path

from tl_tui.common.errors import Problem

LONGEST_PATH = 107
"""The largest length of a Unix socket's path in bytes."""
STALE_AFTER = 60.0
"""Age in seconds; a younger socket that refuses connections may belong to a starting engine."""
LOG_KEPT = 7 * 24 * 3600.0
"""How long the log of an engine that died before its first step is kept, in seconds."""


class SocketProblem(Problem):
    """There is no safe folder for the socket; the text says why and what to do."""


def socket_directory() -> Path:
    """Return the user's folder for sockets; create it if necessary.

    Raises:
        SocketProblem: It belongs to another user, is open to others, or cannot be created.
    """
    base = Path(os.environ.get("TL_TUI_TMPDIR") or "/tmp")
    folder = base / f"tl-tui-{os.getuid()}"
    advice = "set TL_TUI_TMPDIR to a folder of your own"
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
    except OSError as error:
        reason = error.strerror or error
        raise SocketProblem(f"{folder} cannot be created ({reason}); {advice}.") from error
    if not stat.S_ISDIR(status.st_mode):
        raise SocketProblem(f"{folder} is not a folder; remove it, or {advice}.")
    if status.st_uid != os.getuid():
        raise SocketProblem(f"{folder} belongs to another user; {advice}.")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise SocketProblem(f"{folder} is open to other users; chmod 700 it, or {advice}.")
    return folder


def new_socket_path() -> Path:
    """Return a path for a new engine's socket; remove what dead engines have left.

    Raises:
        SocketProblem: There is no safe folder, or the path is too long for a socket.
    """
    folder = socket_directory()
    path = folder / f"{secrets.token_hex(4)}.sock"
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise SocketProblem(
            f"{path} is too long for a socket (at most {LONGEST_PATH} bytes); "
            "set TL_TUI_TMPDIR to a folder with a shorter path, such as /tmp."
        )
    _remove_stale(folder)
    return path


def log_path(socket_path: Path) -> Path:
    """Return the path of the log next to a socket; later a link to the log in the run directory."""
    return socket_path.with_suffix(".log")


def _remove_stale(folder: Path) -> None:
    now = time.time()
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            age = now - path.lstat().st_mtime
            if path.suffix == ".sock" and age > STALE_AFTER and not _answers(path):
                path.unlink()
            elif path.suffix == ".log" and age > LOG_KEPT:
                if not path.with_suffix(".sock").exists():
                    path.unlink()


def _answers(path: Path) -> bool:
    """Return whether an engine listens on a socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        try:
            connection.connect(os.fspath(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True
