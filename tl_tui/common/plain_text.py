"""Text for a terminal, a pipe or a log that cannot show every character.

Standard output may have any encoding: a locale chooses it, or PYTHONIOENCODING. After
`accept_any_text` no text raises: a drawing character that the encoding lacks becomes a similar one
in ASCII, and any other character becomes an escape such as `\\u65e5`, so that names stay distinct.
"""

from __future__ import annotations

import codecs
import io
import sys
from typing import TextIO

REPLACE = "tl_tui.plain"
"""The name of the error handler, for `open` and `TextIOWrapper.reconfigure`."""

PLAIN: dict[str, str] = {
    "×": "x",
    "·": "-",
    "•": "*",
    "→": "->",
    "←": "<-",
    "↑": "^",
    "↓": "v",
    "▸": ">",
    "▾": "v",
    "▼": "v",
    "▲": "^",
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "~",
    "‖": "|",
    "Δ": "d",
    "σ": "sd",
    "√": "sqrt",
    "±": "+-",
    "₀": "0",
    "′": "'",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "─": "-",
    "━": "=",
    "╸": "-",
    "╍": "~",
    "│": "|",
    "├": "|",
    "└": "`",
    "┴": "+",
    "╭": "+",
    "╮": "+",
    "╰": "+",
    "╯": "+",
    "┈": ".",
    "╌": "~",
    "✓": "+",
    "●": "*",
    "○": "o",
    "█": "#",
    "▀": "#",
    "▒": "%",
    "░": ":",
}
"""ASCII in place of the characters that tl-tui itself writes and draws."""
_TABLE = str.maketrans(PLAIN)


def plain(text: str) -> str:
    """Return a text in ASCII; characters without a similar one become escapes."""
    if text.isascii():
        return text
    return text.translate(_TABLE).encode("ascii", "backslashreplace").decode("ascii")


def encodable(text: str) -> str:
    """Return a text that UTF-8 can encode: bytes of a file name that the locale could not decode
    are decoded as UTF-8, and those that are not UTF-8 either become escapes such as `\\xff`."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a pair of surrogates, which no file name yields
        return text.encode("utf-8", "backslashreplace").decode()


def accept_any_text() -> None:
    """Let standard output and standard error accept every character, whatever their encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=REPLACE)


def as_written(text: str, stream: TextIO) -> str:
    """Return a text as a reader of the stream sees it."""
    encoding = stream.encoding or "utf-8"
    return text if text.isascii() else text.encode(encoding, REPLACE).decode(encoding)


def write_ascii(stream: TextIO) -> None:
    """Limit a stream to ASCII, for a terminal that can show no more."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="ascii", errors=REPLACE)


def write_utf8(stream: TextIO) -> None:
    """Write a stream as UTF-8, for formats that other programs read, such as JSON and CSV."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors=REPLACE)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Handle characters that an encoding lacks; see `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end


codecs.register_error(REPLACE, _replaced)
