"""ASCII in place of other characters on the screen, in as many cells."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

from tl_tui.common.plain_text import PLAIN

_ARROWS = {"→": ">", "←": "<"}


@lru_cache(4096)
def ascii_cells(text: str) -> str:
    """Return a text in ASCII that takes as many cells.

    It suits what Textual draws: borders, scrollbars and ellipses. Names have passed `Glyphs.text`
    before, which keeps them distinct.
    """
    if text.isascii():
        return text
    # Joined emoji take fewer cells than their parts.
    return set_cell_size("".join(map(_ascii_cell, text)), cell_len(text))


def _ascii_cell(character: str) -> str:
    if character.isascii():
        return character
    cells = cell_len(character)
    similar = _ARROWS.get(character) or PLAIN.get(character, "")[:1] or _similar(character)
    return (similar or "?") * cells


def _similar(character: str) -> str:
    """Return a character that looks alike or is its base letter; empty if there is none."""
    code = ord(character)
    if 0x2500 <= code < 0x2580:  # box drawing
        name = unicodedata.name(character)
        if "VERTICAL" not in name and "DOWN" not in name and "UP" not in name:
            return "-"
        crosses = any(word in name for word in ("HORIZONTAL", "LEFT", "RIGHT", "DIAGONAL"))
        return "+" if crosses else "|"
    if 0x2580 <= code < 0x25A0:  # blocks, as in scrollbars
        return "#"
    if 0x2800 <= code < 0x2900:  # Braille, as in curves
        return "*" if code > 0x2800 else " "
    base = unicodedata.normalize("NFKD", character)[:1]
    return base if base.isascii() else ""
