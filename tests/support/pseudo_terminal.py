"""A real pseudo-terminal with a terminal emulator reading the screen: whole sessions, as a user.

    terminal = Terminal([...], columns=80, rows=24)
    terminal.wait_for("updated")
    terminal.press("t")
    terminal.colour_of("fc")

Run as a program it types keys into a command and saves pictures of what the screen shows:

    python -m tests.support.pseudo_terminal --size 80x24 --keys 'wait:green,t,wait:updated' \\
        -o out.png -- tl-tui
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[2]
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
    "tab": "\t",
}
PATIENCE = float(os.environ.get("TL_TUI_TEST_PATIENCE", "90"))
"""Seconds that a condition is waited for, on the slowest machine."""


class Screen(pyte.Screen):
    """pyte's screen, deaf to what it would misread: private modes with unusual forms."""

    def report_device_status(self, mode: int, **options: object) -> None:
        """Answered by `Terminal`, which knows where to write."""

    def select_graphic_rendition(self, *attrs: int, **options: object) -> None:
        if not options.get("private"):  # CSI > 4 ; 1 m is a keyboard mode, not a colour
            super().select_graphic_rendition(*attrs)


class Terminal:
    """One command in a pseudo-terminal of its own, and what its screen shows."""

    def __init__(
        self,
        command: list[str],
        *,
        columns: int = 80,
        rows: int = 24,
        env: dict[str, str] | None = None,
        answer_cursor: bool = True,
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
        """
        self.screen = Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes_read = 0
        self.read_at = 0.0
        """When the last bytes came, before the emulator took them in; `time.perf_counter()`."""
        self.raw = bytearray()
        self.answer_cursor = answer_cursor
        self.hung_up = False
        self.synchronized = False
        self.whole = True
        """No frame is under way: what the screen shows is what the program meant."""
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
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={name: value for name, value in whole.items() if value},
            cwd=ROOT,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.slave = slave

    # --- doing ----------------------------------------------------------------------------------

    def press(self, *keys: str) -> None:
        """Type keys, by name or as they are."""
        for key in keys:
            os.write(self.master, KEYS.get(key, key).encode())

    def click(self, column: int, row: int) -> None:
        """Press and release the left button, at cells counted from 0."""
        for end in "Mm":
            os.write(self.master, f"\x1b[<0;{column + 1};{row + 1}{end}".encode())

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size, as a user dragging its edge."""
        self._set_size(columns, rows)
        self.screen.resize(rows, columns)
        os.killpg(self.process.pid, signal.SIGWINCH)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    # --- reading --------------------------------------------------------------------------------

    def read(self, seconds: float = 0.02) -> bool:
        """Take in what has come, waiting at most so long for it; False if nothing came."""
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
        new = bytes(self.raw[-len(data) - 7 :])  # with what a mark cut in two needs
        began, ended = new.rfind(b"\x1b[?2026h"), new.rfind(b"\x1b[?2026l")
        if began != ended:
            self.whole = ended > began
        if self.answer_cursor:
            self._answer(data, new)
        return bool(data)

    def _answer(self, data: bytes, new: bytes) -> None:
        """Reply to what the program asked of its terminal."""
        if b"\x1b[6n" in data:
            cursor = self.screen.cursor
            os.write(self.master, f"\x1b[{cursor.y + 1};{cursor.x + 1}R".encode())
        if b"\x1b[?2026$p" in new and not self.synchronized:
            self.synchronized = True
            os.write(self.master, b"\x1b[?2026;2$y")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Read until a condition holds.

        Raises:
            AssertionError: it did not within `PATIENCE`; with the screen as it is.
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
        """Read until nothing came for a while: an animation has ended."""
        deadline = time.monotonic() + PATIENCE
        while self.read(quiet) and time.monotonic() < deadline:
            pass

    def wait_exit(self) -> int:
        """Read to the end; the exit code."""
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
        """The first line that shows a regular expression."""
        for number, line in enumerate(self.screen.display):
            if re.search(pattern, line):
                return number
        raise AssertionError(f"no line shows {pattern!r}:\n{self.text}")

    def line(self, pattern: str) -> str:
        return self.screen.display[self.line_of(pattern)]

    def colour_of(self, pattern: str) -> str:
        """The foreground of the first character that a regular expression matches."""
        number = self.line_of(pattern)
        match = re.search(pattern, self.screen.display[number])
        assert match is not None
        return self.screen.buffer[number][match.start()].fg

    def colours(self) -> set[str]:
        """Every foreground and background on the screen."""
        cells = [
            self.screen.buffer[y][x]
            for y in range(self.screen.lines)
            for x in range(self.screen.columns)
        ]
        return {cell.fg for cell in cells if cell.data != " "} | {cell.bg for cell in cells}

    @property
    def restored(self) -> bool:
        """The terminal is as a shell wants it: main screen, cursor seen, no mouse, echo on."""
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
        """Process ids that descend from the command, the engine's own session included."""
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
        """Close the terminal itself, as an emulator's window or a line that drops."""
        if not self.hung_up:
            self.hung_up = True
            os.close(self.slave)
            os.close(self.master)

    def close(self) -> None:
        """End the command if it still runs, and its engine, which would outlive it."""
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


# --- pictures -----------------------------------------------------------------------------------

PAPER, INK = "#15171c", "#d3d7df"
NAMED = {
    "black": "#15171c",
    "red": "#cc3b3b",
    "green": "#3fb950",
    "brown": "#c4a000",
    "blue": "#3465a4",
    "magenta": "#a371c7",
    "cyan": "#06989a",
    "white": "#d3d7cf",
    "brightblack": "#6b7078",
    "brightred": "#ff5f57",
    "brightgreen": "#8ae234",
    "brightbrown": "#fce94f",
    "brightblue": "#58a6ff",
    "brightmagenta": "#d2a8ff",
    "brightcyan": "#34e2e2",
    "brightwhite": "#ffffff",
}


def picture(screen: pyte.Screen, dim: set[tuple[int, int]], file: Path) -> None:
    """Draw what an emulated screen shows, in DejaVu Sans Mono."""
    from PIL import Image, ImageDraw, ImageFont

    folder = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono"
    plain, bold = (ImageFont.truetype(f"{folder}{kind}.ttf", 16) for kind in ("", "-Bold"))
    braille = ImageFont.truetype("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", 13)
    width, height = 10, 21
    image = Image.new("RGB", (screen.columns * width, screen.lines * height), PAPER)
    draw = ImageDraw.Draw(image)

    def colour(name: str, default: str) -> str:
        return default if name == "default" else NAMED.get(name, f"#{name}")

    def faded(one: str) -> str:
        parts = [(int(one[i : i + 2], 16) + int(PAPER[i : i + 2], 16)) // 2 for i in (1, 3, 5)]
        return "#" + "".join(f"{part:02x}" for part in parts)

    for y in range(screen.lines):
        for x in range(screen.columns):
            cell = screen.buffer[y][x]
            ink, paper = colour(cell.fg, INK), colour(cell.bg, PAPER)
            if (y, x) in dim:
                ink = faded(ink)
            if cell.reverse:
                ink, paper = paper, ink
            box = (x * width, y * height, (x + 1) * width - 1, (y + 1) * height - 1)
            draw.rectangle(box, fill=paper)
            if cell.data == "█":
                draw.rectangle(box, fill=ink)
            elif cell.data.strip():
                dots = 0x2800 <= ord(cell.data[0]) < 0x2900  # which the monospaced face lacks
                font = braille if dots else bold if cell.bold else plain
                draw.text((x * width, y * height + 1), cell.data, font=font, fill=ink)
    image.save(file)


class DimScreen(Screen):
    """Remembers which cells were written dim, which pyte itself does not."""

    def __init__(self, columns: int, lines: int) -> None:
        self.dim: set[tuple[int, int]] = set()
        self._faint = False
        super().__init__(columns, lines)

    def select_graphic_rendition(self, *attrs: int, **options: object) -> None:
        if options.get("private"):
            return
        values = list(attrs) or [0]
        while values:
            value = values.pop(0)
            if value in (38, 48):
                del values[: 2 if values[:1] == [5] else 4]
            elif value in (0, 22):
                self._faint = False
            elif value == 2:
                self._faint = True
        super().select_graphic_rendition(*attrs, **options)

    def draw(self, data: str) -> None:
        for character in data:
            before = (self.cursor.y, self.cursor.x)
            super().draw(character)
            after = (self.cursor.y, self.cursor.x - 1)
            for place in {before, after} if after[0] == before[0] else {after}:
                (self.dim.add if self._faint else self.dim.discard)(place)

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        super().erase_in_line(how, private)
        self.dim -= {place for place in self.dim if place[0] == self.cursor.y}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="80x24")
    parser.add_argument("--keys", default="", help="keys, wait:REGEX, settle, shot:FILE; by commas")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    columns, rows = map(int, arguments.size.split("x"))
    env = dict(pair.split("=", 1) for pair in arguments.env)
    terminal = Terminal(arguments.command, columns=columns, rows=rows, env=env)
    screen = terminal.screen = DimScreen(columns, rows)
    terminal.stream = pyte.ByteStream(screen)
    for key in filter(None, arguments.keys.split(",")):
        if key.startswith("wait:"):
            terminal.wait_for(key[5:])
        elif key.startswith("shot:"):
            picture(screen, screen.dim, Path(key[5:]))
        elif key == "settle":
            terminal.settle()
        else:
            terminal.press(key)
            terminal.read(0.2)
    terminal.settle()
    sys.stdout.write(terminal.text + "\n")
    if arguments.output:
        picture(screen, screen.dim, arguments.output)
    terminal.close()


if __name__ == "__main__":
    main()
