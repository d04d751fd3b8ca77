"""Names from outside (classes, paths) as cells of a terminal: safe, and as long as there is room.

A name may hold control characters, bidirectional marks or half a surrogate pair; drawn as they
are they would move the cursor, turn the line around or break the encoder.
"""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len, set_cell_size

_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode's categories of what has no picture, or none of its own."""


def sanitize(name: str) -> str:
    """The name with everything that has no picture written out, such as `\\x1b` or `\\u202e`."""
    name = unicodedata.normalize("NFC", name)
    return "".join(_written(c) if unicodedata.category(c) in _HIDDEN else c for c in name)


def _written(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def padded(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly so many cells: cut with an ellipsis, or filled with blanks.

    Args:
        text: Without control characters.
        width: Cells, from 0.
        right: Stand at the right end.
    """
    if cell_len(text) > width:
        text = set_cell_size(text, width - 1) + "…" if width > 1 else "…"[:width]
    fill = " " * (width - cell_len(text))
    return fill + text if right else text + fill


def shorten_path(path: str, width: int) -> str:
    """A path in at most so many cells; what is too much is left out in the middle.

    The end, which tells a file from its neighbours, gets two thirds.
    """
    if cell_len(path) <= width:
        return path
    if width < 4:
        return set_cell_size(path, max(0, width)).rstrip()
    tail, cells = len(path), 0
    while tail and cells + cell_len(path[tail - 1]) <= (width - 1) * 2 // 3:
        tail -= 1
        cells += cell_len(path[tail])
    head, left = 0, width - 1 - cells
    while cell_len(path[head]) <= left:
        left -= cell_len(path[head])
        head += 1
    return f"{path[:head]}…{path[tail:]}"
