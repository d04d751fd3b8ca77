"""Making names from outside, such as classes and paths, safe to draw on a terminal.

A name may contain control characters, bidirectional marks or half a surrogate pair, which would
move the cursor, reverse the line or fail to encode.
"""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len

from tui.drawing.lines import shorten_middle

_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""The Unicode categories of characters that are invisible or change how others are drawn."""


def sanitize(name: str) -> str:
    """Replace invisible characters by escapes such as `\\x1b` or `\\u202e`."""
    name = unicodedata.normalize("NFC", name)
    return "".join(_escape(c) if unicodedata.category(c) in _HIDDEN else c for c in name)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return a text in exactly `width` cells, padded with blanks or shortened in its middle, so
    that names with the same beginning stay distinct.

    Args:
        text: Without control characters.
        width: Cells, from 0.
        right: Align the text to the right.
    """
    text = shorten_middle(text, width)
    fill = " " * (width - cell_len(text))
    return fill + text if right else text + fill
