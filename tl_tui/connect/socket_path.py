"""Where an engine's socket and its first log lie: a folder of the user's own under /tmp.

tmux puts its sockets there too: $XDG_RUNTIME_DIR is removed at logout and unset in containers and
batch jobs, and a path within the run directory would pass the limit of Unix sockets.
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
"""Bytes that fit into a Unix socket's address."""
STALE_AFTER = 60.0
"""Seconds; a younger socket that refuses may belong to an engine that is just starting."""
LOG_KEPT = 7 * 24 * 3600.0
"""Seconds for which the log of an engine that died before its first step is kept."""


class SocketProblem(Problem):
    """There is no safe place for the socket; the text says why and what to do."""


def socket_directory() -> Path:
    """The user's folder for sockets, made and checked.

    Raises:
        SocketProblem: it belongs to somebody else, others may enter it, or it cannot be made.
    """
    base = Path(os.environ.get("TL_TUI_TMPDIR") or "/tmp")
    folder = base / f"tl-tui-{os.getuid()}"
    advice = "set TL_TUI_TMPDIR to a folder of your own"
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError as error:
        reason = error.strerror or error
        raise SocketProblem(f"{folder} cannot be made ({reason}); {advice}.") from error
    if not stat.S_ISDIR(found.st_mode):
        raise SocketProblem(f"{folder} is not a folder; remove it, or {advice}.")
    if found.st_uid != os.getuid():
        raise SocketProblem(f"{folder} belongs to another user; {advice}.")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise SocketProblem(f"{folder} is open to other users; chmod 700 it, or {advice}.")
    return folder


def new_socket_path() -> Path:
    """A path for a new engine's socket. What dead engines left beside it is removed.

    Raises:
        SocketProblem: there is no safe place, or the path is too long for a socket.
    """
    folder = socket_directory()
    path = folder / f"{secrets.token_hex(4)}.sock"
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise SocketProblem(
            f"{path} is too long for a socket (at most {LONGEST_PATH} bytes); "
            "set TL_TUI_TMPDIR to a shorter folder, such as /tmp."
        )
    _remove_stale(folder)
    return path


def log_path(socket_path: Path) -> Path:
    """The log beside a socket; once there is a run directory, a link to the log there."""
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
    """Somebody listens there. The engine takes a visitor who says nothing for no client."""
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.settimeout(1)
        try:
            visitor.connect(os.fspath(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True
