"""Printing for commands that do not open the screen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

from tl_tui.common import json_codec
from tl_tui.common.plain_text import write_ascii, write_utf8

if TYPE_CHECKING:
    from rich.console import Console


def print_json(content: Any) -> None:
    """Print one line of strict JSON, as UTF-8 whatever the locale."""
    write_utf8(sys.stdout)
    print(json_codec.dumps(content), flush=True)


def suit_terminal(stream: TextIO) -> None:
    """Limit a stream to ASCII if it is a terminal that can show no more."""
    from tui.drawing.terminal import detect_terminal

    if stream.isatty() and not detect_terminal().unicode:
        write_ascii(stream)


def console(*, stderr: bool = False) -> Console:
    """Return a rich console on standard output, limited to ASCII if the terminal is.

    Args:
        stderr: Print on standard error instead.
    """
    from rich.console import Console

    suit_terminal(sys.stderr if stderr else sys.stdout)
    # rich draws with ASCII if the stream's encoding is ASCII.
    return Console(highlight=False, stderr=stderr)


def unbroken_lines(text: str, width: int | None) -> list[str]:
    """Wrap a text at its blanks; a path or a name longer than a line stays whole.

    Args:
        text: A line of text.
        width: Cells; None for no limit.
    """
    if width is None:
        return [text]
    from rich.cells import cell_len

    width, lines = max(20, width), [""]
    for word in text.split():
        # A word that fits no line continues this one; the terminal wraps it.
        if not lines[-1] or cell_len(word) > width or cell_len(f"{lines[-1]} {word}") <= width:
            lines[-1] = f"{lines[-1]} {word}".lstrip()
        else:
            lines.append(word)
    return lines
