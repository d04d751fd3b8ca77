"""A labels file: a CSV with the columns path and label, and if wanted split (train or val)."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..problem import Problem


class LabelsProblem(Problem):
    """The labels file cannot be used; the text names the line and what to do."""


class Row(NamedTuple):
    path: str
    label: str
    split: str
    """train, val, or empty."""


def read(file: Path, directory: Path) -> Iterator[Row]:
    """The rows of a labels file, a row at a time.

    Args:
        file: UTF-8, with a header line that names path and label, in any order.
        directory: Paths are relative to it.

    Raises:
        LabelsProblem: missing, not text, without a header, or a line that names no image.
    """
    where = f"--labels {file}"
    if not file.is_file():
        raise LabelsProblem(f"{where}: there is no such file.")
    seen: dict[str, int] = {}
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            rows = csv.reader(text)
            columns = _columns(where, next(rows, []))
            for cells in rows:
                if not any(cell.strip() for cell in cells):
                    continue
                line = rows.line_num
                row = _row(f"{where}, line {line}", cells, columns, directory)
                if row.path in seen:
                    raise LabelsProblem(
                        f"{where}, line {line}: {cells[columns['path']]} is there already "
                        f"(line {seen[row.path]}); name each image once."
                    )
                seen[row.path] = line
                yield row
    except UnicodeDecodeError as error:
        raise LabelsProblem(f"{where}: it is not UTF-8 text; save it as UTF-8.") from error
    except csv.Error as error:
        raise LabelsProblem(f"{where}: it is no CSV file ({error}).") from error
    except OSError as error:
        raise LabelsProblem(f"{where}: it cannot be read ({error.strerror or error}).") from error


def _columns(where: str, header: list[str]) -> dict[str, int]:
    names = [cell.strip().lower() for cell in header]
    missing = [name for name in ("path", "label") if name not in names]
    if missing:
        raise LabelsProblem(
            f"{where}: its first line must name the columns path and label; {missing[0]} is "
            f"missing (it reads {', '.join(names)[:60] or 'nothing'})."
        )
    return {name: names.index(name) for name in ("path", "label", "split") if name in names}


def _row(where: str, cells: list[str], columns: dict[str, int], directory: Path) -> Row:
    found = {
        name: cells[place].strip() if place < len(cells) else "" for name, place in columns.items()
    }
    for name in ("path", "label"):
        if not found[name]:
            raise LabelsProblem(f"{where}: the {name} is missing.")
    split = found.get("split", "").lower()
    if split not in ("", "train", "val"):
        raise LabelsProblem(f"{where}: the split is {split}; it must be train or val.")
    path = os.path.join(directory, found["path"])
    if not os.path.isfile(path):
        raise LabelsProblem(
            f"{where}: there is no image {found['path']} in {directory}; "
            "paths are relative to --data."
        )
    return Row(path, found["label"], split)
