"""Read a labels file: a CSV with the columns path and label, and optionally split."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.data.samples import printable
from tl_tui.common.errors import Problem

SPLITS = {name: "val" for name in ("val", "valid", "validation")} | {"train": "train", "": ""}
"""The split that a value in the column split means, in lower case."""


class LabelsProblem(Problem):
    """The labels file cannot be used. The message says on which line and what to do."""


class LabelRow(NamedTuple):
    """A row of a labels file."""

    path: str
    label: str
    split: str
    """`train`, `val`, or empty if the file does not say."""


def read_labels_file(file: Path, directory: Path) -> Iterator[LabelRow]:
    """Yield the rows of a labels file.

    Args:
        file: UTF-8 text with a header line that names path and label, in any order. Cells are
            separated by commas, or by semicolons or tabs if the header has more of those.
        directory: The folder that paths are relative to. A path that does not exist there is
            looked up relative to the file's own folder.

    Raises:
        LabelsProblem: The file is missing, is not text, has no header, or names a missing image.
    """
    where = f"--labels {printable(str(file))}"
    if not os.path.isfile(file):
        reason = "it is not a file" if os.path.exists(file) else "there is no such file"
        raise LabelsProblem(f"{where}: {reason}; name a CSV file with the columns path and label.")
    folders = (os.fspath(directory), os.fspath(file.parent))
    seen: dict[str, int] = {}
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            header = text.readline()
            text.seek(0)
            rows = csv.reader(text, delimiter=max(",;\t", key=header.count))
            columns = _columns(where, next(rows, []))
            for cells in rows:
                if not any(cell.strip() for cell in cells):
                    continue
                line = rows.line_num
                row = _row(f"{where}, line {line}", cells, columns, folders)
                if row.path in seen:
                    raise LabelsProblem(
                        f"{where}, line {line}: {cells[columns['path']]} is already on line "
                        f"{seen[row.path]}; name each image once."
                    )
                seen[row.path] = line
                yield row
    except UnicodeDecodeError as error:
        raise LabelsProblem(f"{where}: it is not UTF-8 text; save it as UTF-8.") from error
    except csv.Error as error:
        raise LabelsProblem(
            f"{where}, line {rows.line_num}: it is not a CSV file ({error}); save it as one."
        ) from error
    except OSError as error:
        raise LabelsProblem(f"{where}: it cannot be read ({error.strerror or error}).") from error


def _columns(where: str, header: list[str]) -> dict[str, int]:
    """Return the index of each known column."""
    names = [cell.strip().lower() for cell in header]
    missing = [name for name in ("path", "label") if name not in names]
    if missing:
        raise LabelsProblem(
            f"{where}: the first line must name the columns path and label; {missing[0]} is "
            f"missing (the line has {', '.join(names)[:60] or 'no columns'})."
        )
    return {name: names.index(name) for name in ("path", "label", "split") if name in names}


def _row(
    where: str, cells: list[str], columns: dict[str, int], folders: tuple[str, ...]
) -> LabelRow:
    """Check one line and find its image in one of the folders."""
    values = {
        name: cells[index].strip() if index < len(cells) else "" for name, index in columns.items()
    }
    for name in ("path", "label"):
        if not values[name]:
            raise LabelsProblem(f"{where}: the {name} is missing; add it, or remove the line.")
    split = SPLITS.get(values.get("split", "").lower())
    if split is None:
        raise LabelsProblem(f"{where}: the split is {values['split']}; it must be train or val.")
    for folder in folders:
        path = os.path.normpath(os.path.join(folder, values["path"]))
        if os.path.isfile(path):
            return LabelRow(path, sys.intern(values["label"]), split)
    raise LabelsProblem(
        f"{where}: there is no image {values['path']} in {printable(folders[0])}; "
        "paths are relative to --data."
    )
