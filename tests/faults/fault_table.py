"""The faults there are, and the place in which one is done."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.command_line import isolated_environment
from tests.support.fork_server import process_mark

SOON = float(os.environ.get("TL_TUI_TEST_PATIENCE", "120"))
"""Seconds within which a condition has to come true; far more than it ever takes."""


def at_least_one(word: str) -> int:
    """A number of a command line, for argparse.

    Raises:
        ValueError: it is none, or less than 1.
    """
    number = int(word)
    if number < 1:
        raise ValueError(word)
    return number


class Skipped(Exception):
    """The fault cannot be done here; the text says why."""


@dataclass(frozen=True)
class Place:
    """Where a fault is done: a folder of its own, the images of all, and what happens by chance."""

    folder: Path
    images: Path
    """Small ones, of two classes; shared, to be copied before they are harmed."""
    random: random.Random
    lives: int = 1
    """How many times one run may be killed and gone on with, each in another of its lives."""

    @property
    def environment(self) -> dict[str, str]:
        """Of every process of this place; by its TL_TUI_TMPDIR they are found again."""
        return isolated_environment(self.folder)

    def processes(self) -> list[int]:
        """Processes that were started from here and still run."""
        mark = f"TL_TUI_TMPDIR={self.folder}".encode()
        name = process_mark(str(self.folder)).encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (
                    mark in (entry / "environ").read_bytes().split(b"\0")
                    or name == (entry / "comm").read_bytes().strip()
                ):
                    found.append(int(entry.name))
            except OSError:
                continue
        return [pid for pid in found if pid != os.getpid() and not _is_zombie(pid)]

    def leave(self) -> None:
        """Assert that no process is left; whatever is, is ended."""
        left = [] if wait_until(lambda: not self.processes()) else self.processes()
        self.clear()
        assert not left, f"processes were left: {left}"

    def clear(self) -> None:
        """End what is left after a fault that was not survived."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until(condition: Callable[[], object], seconds: float = SOON) -> bool:
    """Look until a condition holds; whether it came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@dataclass(frozen=True)
class Fault:
    name: str
    full: int
    """How often it is done for docs/reliability.md."""
    do: Callable[[Place], int | None]
    """Does the harm and asserts; returns how many times it did if that is not once."""
    like: str = ""
    """What tries nearly the same in every run of the tests, where this is left to `--thorough`."""


FAULTS: list[Fault] = []


def fault(
    name: str, *, full: int, like: str = ""
) -> Callable[[Callable[[Place], int | None]], object]:
    """Register a fault."""

    def register(do: Callable[[Place], int | None]) -> object:
        FAULTS.append(Fault(name, full, do, like))
        return do

    return register
