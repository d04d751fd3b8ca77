"""The list of all faults, and what a fault is given to work with."""

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
"""Seconds to wait for a condition, far more than it ever takes."""


def at_least_one(word: str) -> int:
    """Parse a positive number, for argparse.

    Raises:
        ValueError: it is none, or less than 1.
    """
    number = int(word)
    if number < 1:
        raise ValueError(word)
    return number


class Skipped(Exception):
    """The fault cannot be injected on this machine; the text says why."""


@dataclass(frozen=True)
class Place:
    """What a fault is given: a new folder, the shared images, and a random generator."""

    folder: Path
    images: Path
    """Small images of two classes, shared by all faults: copy them before changing them."""
    random: random.Random
    lives: int = 1
    """How many times one run may be killed and resumed."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables of every process started here; `processes` looks for TL_TUI_TMPDIR."""
        return isolated_environment(self.folder)

    def processes(self) -> list[int]:
        """Return the running processes that were started with this environment."""
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
        """Assert that every process has ended, after killing those that have not."""
        left = [] if wait_until(lambda: not self.processes()) else self.processes()
        self.clear()
        assert not left, f"processes were left: {left}"

    def clear(self) -> None:
        """Kill the processes that are left."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until(condition: Callable[[], object], seconds: float = SOON) -> bool:
    """Wait until a condition holds. Return whether it does."""
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
    """How often it is injected for docs/reliability.md."""
    do: Callable[[Place], int | None]
    """Injects the fault and asserts. Returns how often it did so, or None for once."""
    like: str = ""
    """The test of the default run that covers this fault, if only `--thorough` injects it."""


FAULTS: list[Fault] = []


def fault(
    name: str, *, full: int, like: str = ""
) -> Callable[[Callable[[Place], int | None]], object]:
    """Add the decorated function to `FAULTS`."""

    def register(do: Callable[[Place], int | None]) -> object:
        FAULTS.append(Fault(name, full, do, like))
        return do

    return register
