"""Programs in a pseudo-terminal, and measurements of their output, processor time and memory."""

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
"""The time without output, in seconds, after which the effect of a key counts as drawn."""
MARKER = "▸>"
"""The cursor's characters, in the stack's first cells."""
READY = r"Press t|BatchNorm statistics|step \d+ "


class MeasuredProgram(Terminal):
    """A program of ours or of a peer in a terminal of 80x24."""

    def __init__(self, command: list[str], folder: Path, **env: str) -> None:
        """
        Args:
            command: The program and its arguments.
            folder: The folder for its configuration, cache and state, in place of the user's own.
            env: Additional environment variables.
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
        """Start the workbench on the demo with random weights."""
        launcher = [sys.executable, str(ROOT / "tl_tui/__main__.py"), "--weights", "none"]
        return cls([*launcher, *options], folder, **env)

    @classmethod
    def trivial(cls, folder: Path) -> MeasuredProgram:
        """Start the trivial Textual app."""
        return cls([sys.executable, "-m", "benchmarks.harness.trivial_app"], folder)

    # --- time -----------------------------------------------------------------------------------

    def seconds_to(self, pattern: str) -> float:
        """Wait for a pattern on the screen. Return the seconds from the start to its bytes."""
        self.wait_for(pattern)
        return self.read_at - self.began

    def latency(self, key: str, changed: Callable[[], object]) -> float:
        """Press a key. Return the seconds until the bytes arrive that change the observed value.

        Args:
            key: The name of the key.
            changed: A function that returns the observed value.
        """
        before = changed()
        began = time.perf_counter()
        self.press(key)
        while not self.read(0.05) or changed() == before:  # compares only after new output
            if time.perf_counter() - began > PATIENCE:
                raise AssertionError(f"{key!r} changed nothing:\n{self.text}")
        return self.read_at - began

    def cells(self) -> object:
        """Return every cell's character and colours."""
        buffer = self.screen.buffer
        return [
            [tuple(buffer[y][x]) for x in range(self.screen.columns)]
            for y in range(self.screen.lines)
        ]

    def cursor(self) -> object:
        """Return the number of the line with the stack's cursor, or None."""
        buffer = self.screen.buffer
        lines = range(self.screen.lines)
        return next((y for y in lines if any(buffer[y][x].data in MARKER for x in (0, 1, 2))), None)

    # --- bytes, processor, memory ---------------------------------------------------------------

    def bytes_of(self, key: str) -> int:
        """Press a key. Return the number of bytes written until the terminal is quiet."""
        self.settle(QUIET_S)
        before = self.bytes_read
        self.press(key)
        self.wait_until(lambda: self.bytes_read > before, f"what {key!r} changes")
        self.settle(QUIET_S)
        return self.bytes_read - before

    def idle(self, seconds: float) -> tuple[float, float]:
        """Return the bytes per second and the share of a core without any input."""
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
        """Return the processor time of the screen's process in seconds."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def resident(self) -> int:
        """Return the resident memory of the screen's process in bytes."""
        match = re.search(r"VmRSS:\s+(\d+) kB", self._proc("status"))
        assert match is not None
        return 1024 * int(match[1])

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/{name}").read_text()

    # --- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """Terminate the program and its engine, and wait until both have exited."""
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
