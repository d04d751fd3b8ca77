"""Pictures in cells: two pixels a cell, the upper in its foreground and the lower behind it."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color
from rich.style import Style

from tl_tui.protocol.results import Thumbnail
from tui.drawing.lines import Line, Piece

UPPER = "▀"
ALIKE = 6
"""Of 255: colours no further apart than this are sent as one, which nobody sees but the line."""


def thumbnail_lines(image: Thumbnail, columns: int, lines: int) -> list[Line]:
    """The picture as large as it fits, its proportions kept, never larger than its own pixels.

    Args:
        image: RGB, 8 bits, row by row.
        columns: Cells at most; a cell is a pixel wide and two high.
        lines: Cells at most.

    Returns:
        Lines of equal width; their styles are pairs of colours, for `pixel_style`.
    """
    width, height, pixels = image.width, image.height, image.pixels
    if width < 1 or height < 1 or columns < 1 or lines < 1 or len(pixels) < 3 * width * height:
        return []
    scale = min(columns / width, 2 * lines / height)
    if scale < 1:
        from PIL import Image  # slow to import, and only here

        width, height = max(1, int(width * scale)), max(1, int(height * scale))
        whole = Image.frombytes("RGB", (image.width, image.height), pixels)
        pixels = whole.resize((width, height), Image.Resampling.BOX).tobytes()
    return [_line(pixels, width, height, y) for y in range(0, height, 2)]


def _line(pixels: bytes, width: int, height: int, y: int) -> Line:
    """Two rows of pixels as a row of cells; neighbours that look alike are one piece."""
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
    """A style's name is a pair of colours, not a field of the palette."""
    return style.startswith("#")


@lru_cache(8192)
def pixel_style(style: str) -> Style:
    """The style of `#rrggbb#rrggbb`, upper and lower pixel; of `#rrggbb` there is no lower one."""
    upper, lower = style[:7], style[7:]
    return Style.from_color(Color.parse(upper), Color.parse(lower) if lower else None)
