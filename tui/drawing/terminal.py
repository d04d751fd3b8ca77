"""Detecting the terminal: its size, colours, Unicode support and multiplexer."""

from __future__ import annotations

import errno
import os
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from typing import Literal

Colours = Literal["none", "16", "256", "truecolor"]

ANSWER_S = 0.5
"""Seconds to wait for the cursor position; a slow connection needs about a third of that."""
_SAMPLE = "é±"
"""Takes two cells in UTF-8, three where characters of ambiguous width are drawn wide, and four in
other encodings. None of its bytes is a control character in a Latin encoding."""


@dataclass(frozen=True)
class TerminalInfo:
    """The properties of a terminal."""

    term: str
    is_terminal: bool
    width: int
    height: int
    colours: Colours
    colours_why: str
    unicode: bool
    unicode_why: str
    multiplexer: Literal["", "tmux", "screen"]

    @property
    def monochrome(self) -> bool:
        return self.colours == "none"


def detect_terminal(*, ask: bool = True, ascii_only: bool = False) -> TerminalInfo:
    """Detect the properties of the terminal.

    Args:
        ask: Query the terminal itself instead of using only the environment variables.
        ascii_only: Use ASCII, whatever the terminal supports.
    """
    is_terminal = os.isatty(0) and os.isatty(1)
    size = shutil.get_terminal_size()
    colours, colours_why = _colours()
    if ascii_only:
        unicode, unicode_why = False, "--ascii"
    else:
        unicode, unicode_why = _unicode(ask=ask and is_terminal)
    return TerminalInfo(
        term=os.environ.get("TERM", ""),
        is_terminal=is_terminal,
        width=size.columns,
        height=size.lines,
        colours=colours,
        colours_why=colours_why,
        unicode=unicode,
        unicode_why=unicode_why,
        multiplexer=_multiplexer(),
    )


def _multiplexer() -> Literal["", "tmux", "screen"]:
    if os.environ.get("TMUX"):
        return "tmux"
    return "screen" if os.environ.get("STY") else ""


# --- colours ------------------------------------------------------------------------------------


def _colours() -> tuple[Colours, str]:
    term = os.environ.get("TERM", "")
    if os.environ.get("NO_COLOR"):
        return "none", "NO_COLOR"
    if term in ("", "dumb", "unknown"):
        return "none", f"TERM={term}"
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor", f"COLORTERM={os.environ['COLORTERM']}"
    if term.endswith("-direct"):
        return "truecolor", f"TERM={term}"
    if "256color" in term:
        return "256", f"TERM={term}"
    count = _terminfo_colours(term)
    if count is None:
        return "16", f"TERM={term}, which is not in this system's terminfo"
    if count >= 256:
        return "256", f"TERM={term}"
    return ("16", f"TERM={term}") if count >= 8 else ("none", f"TERM={term}")


def _terminfo_colours(term: str) -> int | None:
    """Return the number of colours from terminfo; None if it does not know the terminal."""
    try:
        import curses

        curses.setupterm(term, fd=1)
        return curses.tigetnum("colors")
    except Exception:  # curses.error, ImportError, or a standard output that is not a file
        return None


# --- Unicode ------------------------------------------------------------------------------------


def _unicode(*, ask: bool) -> tuple[bool, str]:
    if os.environ.get("TERM") == "linux":
        return False, "TERM=linux: its font lacks the glyphs"
    if os.environ.get("TMUX") and _tmux_client_utf8() is False:
        return False, "tmux was started without UTF-8; start it with tmux -u"
    width = _drawn_width() if ask else None
    if width == len(_SAMPLE):
        return True, "the terminal reads UTF-8"
    if width == len(_SAMPLE) + 1:
        return False, "the terminal draws characters of ambiguous width two cells wide"
    if width is not None:
        return False, "the terminal does not read UTF-8"
    name, value = _original_locale()
    if re.search(r"utf-?8", value, re.IGNORECASE):
        return True, f"{name}={value}"
    return (
        False,
        f"{name}={value}" if name else "no locale is set and the terminal is silent",
    )


def _original_locale() -> tuple[str, str]:
    """Return the locale variable and its value from before Python set LC_CTYPE."""
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = file.read().decode(errors="replace").split("\0")
        started = dict(entry.split("=", 1) for entry in entries if "=" in entry)
    except OSError:
        started = dict(os.environ)
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if started.get(name):
            return name, started[name]
    return "", ""


def _tmux_client_utf8() -> bool | None:
    """Return whether tmux draws UTF-8 on its terminal; None if it does not report that."""
    try:
        reported = subprocess.run(
            ["tmux", "display-message", "-p", "#{client_utf8}"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=1,
            stdin=subprocess.DEVNULL,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return {"1": True, "0": False}.get(reported)


def _drawn_width() -> int | None:
    """Return how many cells the cursor moves for the sample; None without a response.

    The sample is erased again. Keys that are pressed meanwhile are lost.
    """
    import termios

    try:
        before = termios.tcgetattr(0)
    except termios.error:
        return None
    if os.tcgetpgrp(0) != os.getpgrp():
        return None  # a query from a background job would stop it
    quiet = termios.tcgetattr(0)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    sys.stdout.flush()
    try:
        termios.tcsetattr(0, termios.TCSADRAIN, quiet)
        os.write(1, b"\r" + _SAMPLE.encode() + b"\x1b[6n")
        column = _read_column(time.monotonic() + ANSWER_S)
        # Erase the sample with blanks, which also works without escape sequences.
        os.write(1, b"\r    \r")
    finally:
        termios.tcsetattr(0, termios.TCSAFLUSH, before)
    return column - 1 if column is not None else None


def _read_column(deadline: float) -> int | None:
    answer = b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([0], [], [], left)[0]:
            break
        byte = os.read(0, 1)
        if not byte:
            break
        answer += byte
        if match := re.search(rb"\x1b\[(\d+);(\d+)R", answer):
            return int(match[2])
    return None


def terminal_gone() -> bool:
    """Return whether the terminal was closed, so that writing to it fails."""
    try:
        termios.tcgetattr(0)
    except termios.error as error:
        return error.args[0] == errno.EIO
    return False
