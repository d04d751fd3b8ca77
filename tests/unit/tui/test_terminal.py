"""Detecting a terminal, by querying an emulated one and from the environment."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import termios
from pathlib import Path

import pyte
import pytest

from tui.drawing.terminal import detect_terminal

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import dataclasses, json, os, sys
from tui.drawing.terminal import detect_terminal
found = detect_terminal()
left = os.read(0, 100) if sys.argv[1:] else b""
print(json.dumps({**dataclasses.asdict(found), "left": left.decode()}))
"""
LIMIT = 60


class Emulated:
    """A terminal of 80x24 that runs a program and may respond to its queries."""

    def __init__(self, encoding: str, *, answers: bool, ambiguous_wide: bool = False) -> None:
        self.encoding = encoding
        self.answers = answers
        self.ambiguous_wide = ambiguous_wide
        self.screen = pyte.Screen(80, 24)
        self.echoed = b""

    def run(self, **environment: str) -> dict:
        """Run the program and return what it detected."""
        ours, theirs = pty.openpty()
        quiet = {"LC_ALL", "LC_CTYPE", "LANG", "TMUX", "STY", "NO_COLOR", "COLORTERM"}
        env = {name: value for name, value in os.environ.items() if name not in quiet}
        before = termios.tcgetattr(theirs)
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            env=env | {"TERM": "xterm-256color"} | environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        stream = pyte.Stream(self.screen)
        received = b""
        while process.poll() is None or select.select([ours], [], [], 0)[0]:
            if select.select([ours], [], [], 0.1)[0]:
                piece = os.read(ours, 4096)
                received += piece
                text = piece.decode(self.encoding)
                stream.feed(text.replace("±", "± ") if self.ambiguous_wide else text)
                if self.answers and b"\x1b[6n" in piece:
                    cursor = self.screen.cursor
                    os.write(ours, f"\x1b[{cursor.y + 1};{cursor.x + 1}R".encode())
        assert termios.tcgetattr(theirs) == before
        os.close(theirs)
        os.close(ours)
        assert process.returncode == 0, received
        found: dict = json.loads(received[received.index(b"{") :])
        return found

    def line(self, number: int) -> str:
        return self.screen.display[number].rstrip()


def _take_terminal() -> None:
    """The child's standard input becomes its controlling terminal."""
    import fcntl

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_terminal_that_reads_utf8_overrides_the_locale() -> None:
    """An unset LANG is normal in containers behind good terminals."""
    found = Emulated("utf-8", answers=True).run()
    assert (found["unicode"], found["unicode_why"]) == (True, "the terminal reads UTF-8")


def test_a_terminal_that_does_not_read_utf8_overrides_the_locale() -> None:
    found = Emulated("latin-1", answers=True).run(LANG="en_US.UTF-8")
    assert found["unicode"] is False
    assert found["unicode_why"] == "the terminal does not read UTF-8"


def test_a_terminal_with_wide_ambiguous_characters_gets_ascii() -> None:
    """Columns would not be aligned if a block were two cells wide."""
    found = Emulated("utf-8", answers=True, ambiguous_wide=True).run(LANG="ja_JP.UTF-8")
    assert found["unicode"] is False
    assert "ambiguous width" in found["unicode_why"]


@pytest.mark.parametrize(
    ("environment", "unicode"),
    [
        ({"LANG": "C.UTF-8"}, True),
        ({"LANG": "de_DE.utf8"}, True),
        ({"LC_ALL": "C", "LANG": "C.UTF-8"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_without_a_response_the_original_locale_decides(
    environment: dict[str, str], unicode: bool
) -> None:
    """Python sets LC_CTYPE where LANG is unset or C; that is not the user's setting."""
    assert Emulated("utf-8", answers=False).run(**environment)["unicode"] is unicode


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_query_leaves_no_trace(encoding: str) -> None:
    terminal = Emulated(encoding, answers=True)
    terminal.run()
    assert terminal.line(0).startswith("{")  # the output begins where the query was
    assert "[6n" not in "".join(terminal.screen.display)
    assert "R" not in terminal.line(0).split("{")[0]


def test_the_linux_console_gets_ascii() -> None:
    assert Emulated("utf-8", answers=True).run(TERM="linux")["unicode"] is False


@pytest.mark.parametrize(
    ("environment", "colours"),
    [
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "none"),
        ({"TERM": "tmux-256color"}, "256"),
        ({"TERM": "screen"}, "16"),
        ({"TERM": "linux"}, "16"),
        ({"TERM": "vt100"}, "none"),
        ({"TERM": "dumb"}, "none"),
        ({"TERM": "no-such-terminal"}, "16"),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else "",
)
def test_colours(environment: dict[str, str], colours: str) -> None:
    """Runs in a separate process because curses reads terminfo only once."""
    quiet = {"TERM", "COLORTERM", "NO_COLOR"}
    env = {name: value for name, value in os.environ.items() if name not in quiet}
    program = (
        "from tui.drawing.terminal import detect_terminal; f = detect_terminal(ask=False); "
        "print(f.colours, f.monochrome)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=env | environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.stdout.split() == [colours, str(colours == "none")]


def test_ascii_can_be_forced() -> None:
    found = detect_terminal(ask=False, ascii_only=True)
    assert (found.unicode, found.unicode_why) == (False, "--ascii")
