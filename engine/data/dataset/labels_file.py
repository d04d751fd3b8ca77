"""Read a labels file: a CSV with a path and a label in each row, and perhaps a split."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TextIO

from engine.data.dataset.image_finder import ImageFinder
from engine.data.dataset.labels_columns import MOST_VALUES, Columns, LabelsProblem, find_columns
from engine.data.samples import printable
from tl_tui.protocol.dataset import LeftOut
from tl_tui.settings.columns import Role

__all__ = ["LabelRow", "LabelsFile", "LabelsProblem", "read_labels_file"]


class LabelRow(NamedTuple):
    """A row of a labels file."""

    path: str
    """The path of the image; where it should be, if it is missing."""
    label: str
    split: str
    """`train`, `val`, `test`, or empty if the file does not say."""
    missing: bool
    """Whether there is no such file."""


@dataclass
class LabelsFile:
    """The rows of a labels file, and what is remarkable about it."""

    columns: Columns
    rows: list[LabelRow] = field(default_factory=list)
    spellings: dict[str, set[str]] = field(default_factory=dict)
    """How the cells spell each label, spaces included."""
    ambiguous: int = 0
    """The number of names without an ending that fit several images."""

    @property
    def unused(self) -> tuple[LeftOut, ...]:
        """The columns that are not used."""
        return tuple(self.columns.unused)


def read_labels_file(
    file: Path, directory: Path, requested: Mapping[Role, str]
) -> Iterator[int | LabelsFile]:
    """Read a labels file.

    Args:
        file: UTF-8 text with one image per line. Cells are separated by commas, or by semicolons or
            tabs if the first line has more of those. The first line names the columns, unless it
            is already the row of an image.
        directory: The folder that paths are relative to. A path that does not exist there is
            looked up relative to the file's own folder.
        requested: The columns that the user named, by role.

    Yields:
        The number of rows after each row; at last the file.

    Raises:
        LabelsProblem: The file is missing, is not text or a row is incomplete; or it is not clear
            which column is what.
    """
    where = f"--labels {printable(str(file))}"
    if not os.path.isfile(file):
        reason = "it is not a file" if os.path.exists(file) else "there is no such file"
        raise LabelsProblem(f"{where}: {reason}; name a CSV file with the columns path and label.")
    finder = ImageFinder((os.fspath(directory), os.fspath(file.parent)))

    def values_of(indices: Iterable[int], header: bool) -> dict[int, list[str]]:
        return _values_of(where, file, indices, header=header)

    with _opened(where, file) as text:
        first = next(_rows(where, text), (0, []))[1]
    read = LabelsFile(find_columns(where, first, requested, finder, values_of))
    lines: dict[str, int] = {}
    finder.ambiguous = 0
    with _opened(where, file) as text:
        for number, (line, cells) in enumerate(_rows(where, text)):
            if number == 0 and read.columns.header:
                continue
            row = _row(f"{where}, line {line}", cells, read, finder)
            if row.path in lines:
                raise LabelsProblem(
                    f"{where}, line {line}: {cells[read.columns.path].strip()} is already on line "
                    f"{lines[row.path]}; name each image once."
                )
            lines[row.path] = line
            read.rows.append(row)
            yield len(read.rows)
    read.ambiguous = finder.ambiguous
    if read.rows and all(row.missing for row in read.rows):
        raise LabelsProblem(
            f"{where}: not one of its {len(read.rows):,} images exists. The first would be "
            f"{printable(read.rows[0].path)}; paths are relative to --data."
        )
    yield read


def _row(where: str, cells: list[str], read: LabelsFile, finder: ImageFinder) -> LabelRow:
    """Check one line and find its image."""
    columns = read.columns
    raw = {
        name: cells[index] if index < len(cells) else ""
        for name, index in (("path", columns.path), ("label", columns.label))
    }
    for name, cell in raw.items():
        if not cell.strip():
            raise LabelsProblem(f"{where}: the {name} is missing; add it, or remove the line.")
    split = columns.split_of_row(cells)
    if split is None:
        value = printable(cells[columns.split[0]].strip())
        raise LabelsProblem(f"{where}: the split is {value}; it must be train, val or test.")
    label = sys.intern(raw["label"].strip())
    read.spellings.setdefault(label, set()).add(raw["label"])
    name = raw["path"].strip()
    path = finder.find(name)
    return LabelRow(path or finder.expected(name), label, split, path is None)


# --- reading ------------------------------------------------------------------------------------


@contextmanager
def _opened(where: str, file: Path) -> Iterator[TextIO]:
    """Open the file, and turn what can go wrong while it is read into one sentence."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            yield text
    except UnicodeDecodeError as error:
        raise LabelsProblem(f"{where}: it is not UTF-8 text; save it as UTF-8.") from error
    except OSError as error:
        raise LabelsProblem(f"{where}: it cannot be read ({error.strerror or error}).") from error


def _rows(where: str, text: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line that is not empty."""
    first = next((line for line in text if line.strip()), "")
    text.seek(0)
    rows = csv.reader(text, delimiter=max(",;\t", key=first.count))
    try:
        for cells in rows:
            if any(cell.strip() for cell in cells):
                yield rows.line_num, cells
    except csv.Error as error:
        raise LabelsProblem(
            f"{where}, line {rows.line_num}: it is not a CSV file ({error}); save it as one."
        ) from error


def _values_of(
    where: str, file: Path, indices: Iterable[int], *, header: bool
) -> dict[int, list[str]]:
    """Return the different values of columns, in order; at most `MOST_VALUES` of each."""
    values: dict[int, dict[str, None]] = {index: {} for index in indices}
    if not values:
        return {}
    with _opened(where, file) as text:
        for number, (_, cells) in enumerate(_rows(where, text)):
            if number == 0 and header:
                continue
            for index, seen in values.items():
                if len(seen) < MOST_VALUES:
                    seen[cells[index].strip() if index < len(cells) else ""] = None
    return {index: list(seen) for index, seen in values.items()}
