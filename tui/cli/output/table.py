"""Tables of plain text: columns that fit the terminal, and cells that are never broken."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tl_tui.common.plain_text import as_written

GAP = "  "
"""Between two columns; no cell contains two blanks in a row."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    heading: str
    cells: Sequence[str]
    rank: int = 0
    """The columns with the lowest ranks are chosen first; those of rank 0 always stay."""
    right: bool = False
    """Whether to align the cells to the right."""

    @property
    def width(self) -> int:
        """The width of its widest cell, in terminal cells."""
        from rich.cells import cell_len

        return max(cell_len(as_written(text, sys.stdout)) for text in (self.heading, *self.cells))


def output_width() -> int | None:
    """Return the width of the terminal in cells; None for a pipe or a file, which fit any line."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitting_columns(columns: Sequence[Column], width: int | None) -> list[Column]:
    """Return the most important columns that fit next to each other, in their order.

    Args:
        columns: The columns of the table.
        width: Terminal cells; None if there is no limit.
    """
    kept, used = [], -len(GAP)
    for column in sorted(columns, key=lambda column: column.rank):
        needed = used + len(GAP) + column.width
        if width is None or not column.rank or needed <= width:
            kept.append(column)
            used = needed
    return [column for column in columns if column in kept]


def table_lines(columns: Sequence[Column]) -> list[str]:
    """Return the heading and the rows, with the columns aligned and without trailing blanks."""
    from rich.cells import cell_len

    aligned = []
    for column in columns:
        width = column.width
        texts = [as_written(text, sys.stdout) for text in (column.heading, *column.cells)]
        pads = [(text, " " * (width - cell_len(text))) for text in texts]
        aligned.append([pad + text if column.right else text + pad for text, pad in pads])
    return [GAP.join(row).rstrip() for row in zip(*aligned, strict=True)]
