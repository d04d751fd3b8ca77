"""How many pictures stand on a screen, and how large: a pure function of its size."""

from __future__ import annotations

from typing import NamedTuple

LARGEST = 32
"""Pixels a side in the grid: what a picture costs to send grows with its square."""
LEAST_WORDS = 14
"""Cells beside a picture for its label and path."""


class Grid(NamedTuple):
    """Tiles of a picture, and words beside it."""

    columns: int
    rows: int
    """Whole ones on a page."""
    tile: int
    """Cells of a tile, its margin included."""
    side: int
    """Pixels, and so cells, of a picture's side at most."""
    lines: int
    """Of a tile."""
    picture_lines: int
    """Of its picture at most."""

    @property
    def words(self) -> int:
        """Cells for words beside a picture."""
        return max(1, self.tile - self.side - 3)


def grid_of(width: int, height: int) -> Grid:
    """Tiles for so many cells; at 80 × 21 there are two by two, at 120 × 37 three by three."""
    columns = max(1, min(6, width // 38))
    tile = width // columns
    side = max(4, min(LARGEST, tile - LEAST_WORDS - 2))
    rows = max(1, round(height / (side / 2)))
    lines = max(3, height // rows)
    picture = max(2, lines - (rows > 1))  # a blank line between two pictures
    side = min(side, 2 * picture)
    return Grid(columns, rows, tile, side, lines, picture)


def large_grid(width: int, height: int) -> Grid:
    """One picture as large as the screen has room for."""
    side = max(4, min(width - LEAST_WORDS - 2, 2 * height))
    return Grid(1, 1, width, side, height, height)
