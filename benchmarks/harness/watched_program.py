"""Programs in a real pseudo-terminal, and what they cost there."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.support.pseudo_terminal import PATIENCE, ROOT, Terminal

TICK = os.sysconf("SC_CLK_TCK")
QUIET_S = 0.3
"""Without output for so long, what a key brought has been drawn."""
MARKER = "▸>"
"""The cursor, in the tower's first cells."""
READY = r"Press t|BatchNorm statistics|step \d+ "


class MeasuredProgram(Terminal):
    """A program of ours or a peer's in a terminal of 80x24."""

    def __init__(self, command: list[str], folder: Path, **env: str) -> None:
        """
        Args:
            command: Program and arguments.
            folder: For what it keeps: nothing of the user's own is read or written.
            env: Further environment.
        """
        homes = {
            name: str(folder / name.lower())
            for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
        }
        sockets = folder / "s"
        sockets.mkdir(parents=True, exist_ok=True)
        self.began = time.perf_counter()
        super().__init__(
            command,
            columns=80,
            rows=24,
            env=homes | {"TL_TUI_TMPDIR": str(sockets), "PYTHONPATH": str(ROOT)} | env,
        )

    @classmethod
    def tl_tui(cls, folder: Path, *options: str, **env: str) -> MeasuredProgram:
        """The workbench on the demo from random weights."""
        launcher = [sys.executable, str(ROOT / "tl_tui/__main__.py"), "--weights", "none"]
        return cls([*launcher, *options], folder, **env)

    @classmethod
    def trivial(cls, folder: Path) -> MeasuredProgram:
        """The trivial Textual app."""
        return cls([sys.executable, "-m", "benchmarks.harness.trivial_app"], folder)

    # --- time -----------------------------------------------------------------------------------

    def seconds_to(self, pattern: str) -> float:
        """From the program's start until the bytes came that made the screen show a pattern."""
        self.wait_for(pattern)
        return self.read_at - self.began

    def latency(self, key: str, changed: Callable[[], object]) -> float:
        """Seconds from a key's write to the bytes that changed what is looked at.

        Args:
            key: The key, by name.
            changed: What is looked at, as a value.
        """
        before = changed()
        began = time.perf_counter()
        self.press(key)
        while not self.read(0.05) or changed() == before:  # looks only when something has come
            if time.perf_counter() - began > PATIENCE:
                raise AssertionError(f"{key!r} changed nothing:\n{self.text}")
        return self.read_at - began

    def cells(self) -> object:
        """Every cell: its character and its colours."""
        buffer = self.screen.buffer
        return [
            [tuple(buffer[y][x]) for x in range(self.screen.columns)]
            for y in range(self.screen.lines)
        ]

    def cursor(self) -> object:
        """The line with the tower's cursor."""
        buffer = self.screen.buffer
        lines = range(self.screen.lines)
        return next((y for y in lines if any(buffer[y][x].data in MARKER for x in (0, 1, 2))), None)

    # --- bytes, processor, memory ---------------------------------------------------------------

    def bytes_of(self, key: str) -> int:
        """Bytes that a key brings until the terminal is quiet."""
        self.settle(QUIET_S)
        before = self.bytes_read
        self.press(key)
        self.wait_until(lambda: self.bytes_read > before, f"what {key!r} changes")
        self.settle(QUIET_S)
        return self.bytes_read - before

    def idle(self, seconds: float) -> tuple[float, float]:
        """Bytes a second, and share of a core, while nobody does anything."""
        self.settle(2 * QUIET_S)
        bytes_before, busy_before = self.bytes_read, self.processor_s()
        began = time.perf_counter()
        while (left := seconds - (time.perf_counter() - began)) > 0:
            self.read(left)
        passed = time.perf_counter() - began
        return (
            (self.bytes_read - bytes_before) / passed,
            (self.processor_s() - busy_before) / passed,
        )

    def processor_s(self) -> float:
        """Seconds of processor that the screen's process has taken."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def resident(self) -> int:
        """Bytes of memory that the screen's process holds."""
        match = re.search(r"VmRSS:\s+(\d+) kB", self._proc("status"))
        assert match is not None
        return 1024 * int(match[1])

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/{name}").read_text()

    # --- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """End the program and its engine, and wait until they are gone."""
        engines = self.children() if self.process.poll() is None else []
        super().close()
        for engine in engines:
            with suppress(ProcessLookupError):
                os.kill(engine, signal.SIGKILL)
            deadline = time.monotonic() + PATIENCE
            while _runs(engine) and time.monotonic() < deadline:
                time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
