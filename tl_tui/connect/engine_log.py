"""The engine's log: standard output and error, which no library may paint over the screen."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def redirect_output(log: Path, run_dir: Path) -> Path:
    """Take the log into the run directory; a link stays where it was, for the client.

    Standard output and error go to the new file from here on, whatever library writes to them.

    Args:
        log: Where both go now.
        run_dir: The run directory; it exists.

    Returns:
        The new file, `engine.log` in the run directory.
    """
    new = run_dir / "engine.log"
    target = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        with open(log, "rb") as old:
            os.write(target, old.read())
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(target, 1)
            os.dup2(target, 2)
            os.write(target, old.read())  # what another thread wrote in between
    finally:
        os.close(target)
    link = log.with_suffix(".link")
    with contextlib.suppress(OSError):
        link.symlink_to(new.resolve())
        link.replace(log)
    return new


def last_log_line(log: Path) -> str:
    """The line of a log that says best why the process ended; empty if there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        if line.startswith("Fatal Python error"):
            return line[:300]
    spoken = [line.strip() for line in lines if line[:1].strip()]
    return spoken[-1][:300] if spoken else ""
