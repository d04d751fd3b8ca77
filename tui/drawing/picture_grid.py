"""The grid of pictures on a screen, as a pure function of its size."""

from __future__ import annotations

from typing import NamedTuple

LARGEST = 32
"""The largest side of a picture in the grid, in pixels: the bytes to send grow with its square."""
MIN_TEXT_WIDTH = 14
"""The least width for the label and path next to a picture, in cells."""


class Grid(NamedTuple):
    """A grid of tiles, each with a picture and text next to it."""

    columns: int
    rows: int
    """The number of rows that fit as a whole."""
    tile: int
    """The width of a tile with its margin, in cells."""
    side: int
    """The largest width of a picture in pixels, which are as wide as cells."""
    lines: int
    """The height of a tile in lines."""
    picture_lines: int
    """The largest height of a picture in lines."""

    @property
    def text_width(self) -> int:
        """The width of the text next to a picture, in cells."""
        return max(1, self.tile - self.side - 3)


def grid_of(width: int, height: int) -> Grid:
    """Return the grid for a size in cells: two by two at 80 × 21, three by three at 120 × 37."""
    columns = max(1, min(6, width // 38))
    tile = width // columns
    side = max(4, min(LARGEST, tile - MIN_TEXT_WIDTH - 2))
    rows = max(1, round(height / (side / 2)))
    lines = max(3, height // rows)
    picture = max(2, lines - (rows > 1))  # a blank line between two pictures
    side = min(side, 2 * picture)
    return Grid(columns, rows, tile, side, lines, picture)


def large_grid(width: int, height: int) -> Grid:
    """Return a grid of one picture that is as large as possible."""
    side = max(4, min(width - MIN_TEXT_WIDTH - 2, 2 * height))
    return Grid(1, 1, width, side, height, height)
