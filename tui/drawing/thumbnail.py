"""Pictures drawn in cells, with two pixels per cell: foreground and background colour."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color
from rich.style import Style

from tl_tui.protocol.results import Thumbnail
from tui.drawing.lines import Line, Piece

UPPER = "▀"
ALIKE = 6
"""Colours that differ by at most this much of 255 are merged, to send fewer bytes."""


def thumbnail_lines(image: Thumbnail, columns: int, lines: int) -> list[Line]:
    """Draw a picture as large as it fits, with its proportions, and never enlarged.

    Args:
        image: RGB with 8 bits per channel, row by row.
        columns: The largest width in cells; a cell is one pixel wide and two pixels high.
        lines: The largest height in cells.

    Returns:
        Lines of equal width. Their styles are pairs of colours for `pixel_style`.
    """
    width, height, pixels = image.width, image.height, image.pixels
    if width < 1 or height < 1 or columns < 1 or lines < 1 or len(pixels) < 3 * width * height:
        return []
    scale = min(columns / width, 2 * lines / height)
    if scale < 1:
        from PIL import Image  # slow to import, and only needed for pictures that are too large

        width, height = max(1, int(width * scale)), max(1, int(height * scale))
        whole = Image.frombytes("RGB", (image.width, image.height), pixels)
        pixels = whole.resize((width, height), Image.Resampling.BOX).tobytes()
    return [_line(pixels, width, height, y) for y in range(0, height, 2)]


def _line(pixels: bytes, width: int, height: int, y: int) -> Line:
    """Draw two rows of pixels as one row of cells, and merge similar neighbours."""
    pieces: list[Piece] = []
    before = b""
    for x in range(width):
        upper, lower = 3 * (y * width + x), 3 * ((y + 1) * width + x)
        cell = pixels[upper : upper + 3] + (pixels[lower : lower + 3] if y + 1 < height else b"")
        if before and all(abs(a - b) <= ALIKE for a, b in zip(before, cell, strict=True)):
            pieces[-1] = (pieces[-1][0] + UPPER, pieces[-1][1])
            continue
        before = cell
        style = f"#{cell[:3].hex()}" + (f"#{cell[3:].hex()}" if len(cell) > 3 else "")
        pieces.append((UPPER, style))
    return tuple(pieces)


def is_pixels(style: str) -> bool:
    """Return whether a style's name is a pair of colours, not a field of the palette."""
    return style.startswith("#")


@lru_cache(8192)
def pixel_style(style: str) -> Style:
    """Return the style for `#rrggbb#rrggbb`: the upper pixel and, if there is one, the lower."""
    upper, lower = style[:7], style[7:]
    return Style.from_color(Color.parse(upper), Color.parse(lower) if lower else None)
