"""Class names, paths and notes made safe for a terminal."""

from __future__ import annotations

from tl_tui.common.plain_text import encodable

NAME_CELLS = 40
"""The width of the longest class name, in terminal cells."""


def printable(text: str) -> str:
    """Return a line of text with its control characters escaped."""
    text = encodable(text)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def short_name(name: str) -> str:
    """Return a class name, printable and shortened in its middle to `NAME_CELLS`."""
    from tui.drawing.lines import shorten_middle

    return shorten_middle(printable(name), NAME_CELLS)
