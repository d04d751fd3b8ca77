"""Read a labels file: a CSV with a path and a label in each row, and perhaps a split."""

from __future__ import annotations

import csv
import os
import re
import stat
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TextIO

from engine.data.dataset.image_finder import ImageFinder
from engine.data.dataset.labels_columns import MOST_VALUES, Columns, LabelsProblem, find_columns
from engine.data.dataset.resolved_paths import ResolvedPaths
from engine.data.samples import printable
from tl_tui.protocol.config import IMAGE_RULES
from tl_tui.protocol.dataset import LeftOut
from tl_tui.settings.columns import Role

__all__ = ["LabelRow", "LabelsFile", "LabelsProblem", "read_labels_file"]

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


class _Line(NamedTuple):
    """A row as it stands in the file."""

    number: int
    """The line that it begins on."""
    cells: list[str]
    closed: bool
    """Whether its last quote is closed."""
    delimiter: str

    def line_of(self, index: int) -> int:
        """Return the line that a cell begins on."""
        return self.number + sum(len(_LINE_BREAK.findall(cell)) for cell in self.cells[:index])


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
    without_split: int = 0
    """The number of rows whose split is empty, in a file that says the split."""
    marks: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The words of the file for each split, such as `holdout` for `test`."""

    @property
    def unused(self) -> tuple[LeftOut, ...]:
        """The columns that are not used."""
        return tuple(self.columns.unused)


def read_labels_file(
    file: Path, directory: Path, requested: Mapping[Role, str], rules: int = IMAGE_RULES
) -> Iterator[int | LabelsFile]:
    """Read a labels file.

    Args:
        file: UTF-8 text with one image per line. Cells are separated by commas, or by semicolons or
            tabs if the first line has more of those. The first line names the columns, unless it
            is already the row of an image.
        directory: The folder that paths are relative to. A path that does not exist there is
            looked up relative to the file's own folder.
        requested: The columns that the user named, by role.
        rules: See `RunConfig.image_rules`.

    Yields:
        The number of rows after each row; at last the file.

    Raises:
        LabelsProblem: The file is missing, is not text or a row is incomplete; or it is not clear
            which column is what.
    """
    where = f"--labels {printable(str(file))}"
    if not os.path.isfile(file):
        raise LabelsProblem(
            f"{where}: {_no_file(file)}; name a CSV file with the columns path and label."
        )
    finder = ImageFinder((os.fspath(directory), os.fspath(file.parent)))

    def values_of(indices: Iterable[int], header: bool) -> dict[int, list[str]]:
        return _values_of(where, file, indices, header=header)

    with _opened(where, file) as text:
        first = next((line.cells for line in _lines(where, text)), [])
    read = LabelsFile(find_columns(where, first, requested, finder, values_of))
    seen: dict[str, tuple[int, str]] = {}
    paths = ResolvedPaths()
    finder.ambiguous = 0
    with _opened(where, file) as text:
        for number, line in enumerate(_lines(where, text)):
            if rules > 1:
                _check_cells(where, line, read.columns)
            if number == 0 and read.columns.header:
                continue
            here = f"{where}, line {line.number}"
            row = _row(here, line.cells, read, finder)
            key = paths.resolve(row.path) if rules > 1 else row.path
            name = line.cells[read.columns.path].strip()
            if key in seen:
                before, other = seen[key]
                same = "" if other == name else f" (as {printable(other)})"
                raise LabelsProblem(
                    f"{here}: {printable(name)} is already on line {before}{same}; "
                    "name each image once."
                )
            seen[key] = line.number, name
            read.rows.append(row)
            yield len(read.rows)
    read.ambiguous = finder.ambiguous
    if read.rows and all(row.missing for row in read.rows):
        raise LabelsProblem(
            f"{where}: not one of its {len(read.rows):,} images exists. The first would be "
            f"{printable(read.rows[0].path)}; paths are relative to --data."
        )
    yield read


def _no_file(file: Path) -> str:
    """Return what stands at the path of a labels file that is no file."""
    try:
        mode = os.stat(file).st_mode
    except OSError:
        return "there is no such file"
    if stat.S_ISDIR(mode):
        return "it is a folder"
    if stat.S_ISFIFO(mode):
        return "it is a pipe; write its text to a file"
    return "it is not a file"


def _check_cells(where: str, line: _Line, columns: Columns) -> None:
    """Raise a problem if quotes are wrong or the row has more cells than there are columns."""
    cells = line.cells
    used = {columns.path, columns.label, *columns.split}
    broken = [i for i, cell in enumerate(cells) if _LINE_BREAK.search(cell)]
    if not line.closed:
        opens = len(cells) - 1
    elif wrong := [i for i in broken if i in used or len(cells) <= max(used)]:
        opens = wrong[0]
    else:
        opens = -1
    if opens >= 0:
        raise LabelsProblem(
            f"{where}, line {line.line_of(opens)}: a quote opens and is not closed on this line; "
            "close it, or remove it."
        )
    count = len(columns.names)
    if any(cell.strip() for cell in cells[count:]):
        delimiter = _DELIMITERS[line.delimiter]
        raise LabelsProblem(
            f"{where}, line {line.number}: there are {len(cells)} cells, but the first line has "
            f"{count}; put a cell that contains a {delimiter} in quotes, as in "
            f'"{"Tiger" + line.delimiter + " white" if delimiter != "tab" else "Tiger"}".'
        )


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
    if columns.split:
        words = [cells[index].strip() if index < len(cells) else "" for index in columns.split]
        read.without_split += not any(words)
        if len(words) == 1 and not columns.is_flag(columns.split[0]):
            read.marks[split].add(words[0])
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


def _lines(where: str, text: TextIO) -> Iterator[_Line]:
    """Yield each row that is not empty."""
    first = next((line for line in text if line.strip()), "")
    text.seek(0)
    delimiter = max(_DELIMITERS, key=first.count)
    ended = False

    def until_end() -> Iterator[str]:
        nonlocal ended
        yield from text
        ended = True  # the reader asks for a line after the last one only within quotes

    rows = csv.reader(until_end(), delimiter=delimiter)
    begins = 1
    try:
        for cells in rows:
            if any(cell.strip() for cell in cells):
                yield _Line(begins, cells, not ended, delimiter)
            begins = rows.line_num + 1
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
        for number, line in enumerate(_lines(where, text)):
            cells = line.cells
            if number == 0 and header:
                continue
            for index, seen in values.items():
                if len(seen) < MOST_VALUES:
                    seen[cells[index].strip() if index < len(cells) else ""] = None
    return {index: list(seen) for index, seen in values.items()}
