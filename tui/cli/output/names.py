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
    """Return a class name, printable and shortened to `NAME_CELLS`."""
    from rich.cells import cell_len, set_cell_size

    shown = printable(name)
    if cell_len(shown) <= NAME_CELLS:
        return shown
    return f"{set_cell_size(shown, NAME_CELLS - 1).rstrip()}…"
