"""A program in a real pseudo-terminal, whose screen is read by a terminal emulator.

    terminal = Terminal([...], columns=80, rows=24)
    terminal.wait_for("updated")
    terminal.press("t")
    terminal.colour_of("fc")

Pictures of what the screen shows are drawn by `tests.support.screen_picture`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pyte

from tests.support.paths import ROOT

KEYS = {
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "enter": "\r",
    "space": " ",
    "escape": "\x1b",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "ctrl+c": "\x03",
    "ctrl+p": "\x10",
    "ctrl+z": "\x1a",
    "tab": "\t",
}
PATIENCE = float(os.environ.get("TL_TUI_TEST_PATIENCE", "90"))
"""Seconds to wait for a condition, enough for the slowest machine."""


class Screen(pyte.Screen):
    """pyte's screen, which ignores private sequences that pyte would misread."""

    def report_device_status(self, mode: int, **options: object) -> None:
        """Do nothing; `Terminal` answers, because it can write to the program."""

    def select_graphic_rendition(self, *attrs: int, **options: object) -> None:
        if not options.get("private"):  # CSI > 4 ; 1 m is a keyboard mode, not a colour
            super().select_graphic_rendition(*attrs)


class Process(Protocol):
    """The part of `subprocess.Popen` that a terminal needs."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: int) -> None: ...


def launch_program(command: list[str], env: Mapping[str, str], terminal: int) -> Process:
    """Start a program in a new session with `terminal` as its controlling terminal.

    Args:
        command: Program and arguments.
        env: Its whole environment.
        terminal: A file descriptor.
    """
    return subprocess.Popen(
        command,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        env=env,
        cwd=ROOT,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )


class Terminal:
    """A command in a pseudo-terminal, and what its screen shows."""

    def __init__(
        self,
        command: list[str],
        *,
        columns: int = 80,
        rows: int = 24,
        env: dict[str, str] | None = None,
        answer_cursor: bool = True,
        launch: Callable[[list[str], Mapping[str, str], int], Process] = launch_program,
    ) -> None:
        """
        Args:
            command: Program and arguments.
            columns: Width in cells.
            rows: Height in cells.
            env: Added to a small clean environment; an empty value unsets.
            answer_cursor: Answer requests for the cursor's position and for synchronized output,
                as terminals do. With the latter the program says where a frame begins and ends,
                and no condition is tried on half a frame.
            launch: Starts the command; see `launch_program`.
        """
        self.screen = Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes_read = 0
        self.read_at = 0.0
        """When the last bytes arrived, by `time.perf_counter()`, before they were emulated."""
        self.raw = bytearray()
        self.answer_cursor = answer_cursor
        self.hung_up = False
        self.synchronized = False
        self.whole = True
        """Whether the screen shows a complete frame."""
        self.master, slave = pty.openpty()
        self._set_size(columns, rows)
        whole = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
        } | (env or {})
        self.attributes_before = termios.tcgetattr(slave)
        env_set = {name: value for name, value in whole.items() if value}
        self.process = launch(command, env_set, slave)
        self.slave = slave

    # --- input ----------------------------------------------------------------------------------

    def press(self, *keys: str) -> None:
        """Type keys, given by name or literally."""
        for key in keys:
            os.write(self.master, KEYS.get(key, key).encode())

    def click(self, column: int, row: int) -> None:
        """Press and release the left button, at cells counted from 0."""
        for end in "Mm":
            os.write(self.master, f"\x1b[<0;{column + 1};{row + 1}{end}".encode())

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size, as by dragging its edge."""
        self._set_size(columns, rows)
        self.screen.resize(rows, columns)
        os.killpg(self.process.pid, signal.SIGWINCH)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    # --- reading --------------------------------------------------------------------------------

    def read(self, seconds: float = 0.02) -> bool:
        """Read what has arrived, waiting at most `seconds`. Return False if nothing has."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other side is closed
            return False
        self.read_at = time.perf_counter()
        self.bytes_read += len(data)
        self.raw += data
        self.stream.feed(data)
        new = bytes(self.raw[-len(data) - 7 :])  # may end a sequence that was cut in two
        began, ended = new.rfind(b"\x1b[?2026h"), new.rfind(b"\x1b[?2026l")
        if began != ended:
            self.whole = ended > began
        if self.answer_cursor:
            self._answer(data, new)
        return bool(data)

    def _answer(self, data: bytes, new: bytes) -> None:
        """Answer what the program asks its terminal."""
        if b"\x1b[6n" in data:
            cursor = self.screen.cursor
            os.write(self.master, f"\x1b[{cursor.y + 1};{cursor.x + 1}R".encode())
        if b"\x1b[?2026$p" in new and not self.synchronized:
            self.synchronized = True
            os.write(self.master, b"\x1b[?2026;2$y")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Read until a condition holds.

        Raises:
            AssertionError: It does not within `PATIENCE`; the message shows the screen.
        """
        deadline = time.monotonic() + PATIENCE
        while not (self.whole and condition()):
            if not self.read() and self.process.poll() is not None and not self.read():
                if condition():
                    return
                raise AssertionError(f"it ended before {what}:\n{self.text}")
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {what}:\n{self.text}")

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read until the screen shows a regular expression."""
        self.wait_until(lambda: re.search(pattern, self.text) is not None, repr(pattern))
        match = re.search(pattern, self.text)
        assert match is not None
        return match

    def wait_gone(self, pattern: str) -> None:
        """Read until the screen no longer shows it."""
        self.wait_until(lambda: re.search(pattern, self.text) is None, f"{pattern!r} to go")

    def settle(self, quiet: float = 0.3) -> None:
        """Read until nothing arrives for `quiet` seconds, as when an animation has ended."""
        deadline = time.monotonic() + PATIENCE
        while self.read(quiet) and time.monotonic() < deadline:
            pass

    def wait_exit(self) -> int:
        """Read until the command ends. Return its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read()
        while self.read():
            pass
        code = self.process.poll()
        assert code is not None, f"it did not end:\n{self.text}"
        return code

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def line_of(self, pattern: str) -> int:
        """Return the number of the first line that a regular expression matches."""
        for number, line in enumerate(self.screen.display):
            if re.search(pattern, line):
                return number
        raise AssertionError(f"no line shows {pattern!r}:\n{self.text}")

    def line(self, pattern: str) -> str:
        return self.screen.display[self.line_of(pattern)]

    def colour_of(self, pattern: str) -> str:
        """Return the foreground colour of the first character that a regular expression matches."""
        number = self.line_of(pattern)
        match = re.search(pattern, self.screen.display[number])
        assert match is not None
        return self.screen.buffer[number][match.start()].fg

    def colours(self) -> set[str]:
        """Return every foreground and background colour on the screen."""
        cells = [
            self.screen.buffer[y][x]
            for y in range(self.screen.lines)
            for x in range(self.screen.columns)
        ]
        return {cell.fg for cell in cells if cell.data != " "} | {cell.bg for cell in cells}

    @property
    def restored(self) -> bool:
        """Whether the terminal is ready for a shell: main screen, cursor, echo, and no mouse."""
        raw = bytes(self.raw)
        alternate = raw.rfind(b"\x1b[?1049l") > raw.rfind(b"\x1b[?1049h")
        cursor = raw.rfind(b"\x1b[?25h") >= raw.rfind(b"\x1b[?25l")
        mouse = raw.rfind(b"\x1b[?1000l") >= raw.rfind(b"\x1b[?1000h")
        return (
            alternate
            and cursor
            and mouse
            and termios.tcgetattr(self.slave)[:4] == self.attributes_before[:4]
        )

    # --- ending ---------------------------------------------------------------------------------

    def children(self) -> list[int]:
        """Return the process ids of the command's children, such as its engine."""
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            if parent == self.process.pid:
                found.append(int(entry.name))
        return found

    def hang_up(self) -> None:
        """Close the terminal, as when its window is closed or an ssh connection is lost."""
        if not self.hung_up:
            self.hung_up = True
            os.close(self.slave)
            os.close(self.master)

    def close(self) -> None:
        """Kill the command and its engine if they still run."""
        if self.process.poll() is None:
            for pid in (*self.children(), self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            self.process.wait()
        self.hang_up()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
