"""The log file with the engine's standard output and standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def redirect_output(log: Path, run_dir: Path) -> Path:
    """Move the log into the run directory, and leave a symbolic link to it for the client.

    Standard output and error of the process are redirected to the new file.

    Args:
        log: The present log.
        run_dir: The run directory, which exists.

    Returns:
        The new log, `engine.log` in the run directory.
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
            os.write(target, old.read())  # written by another thread in between
    finally:
        os.close(target)
    link = log.with_suffix(".link")
    with contextlib.suppress(OSError):
        link.symlink_to(new.resolve())
        link.replace(log)
    return new


def last_log_line(log: Path) -> str:
    """Return the line of a log that best explains why the process ended; empty if there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        if line.startswith("Fatal Python error"):
            return line[:300]
    unindented = [line.strip() for line in lines if line[:1].strip()]
    return unindented[-1][:300] if unindented else ""
