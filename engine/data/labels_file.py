"""A labels file: a CSV with the columns path and label, and if wanted split (train or val)."""

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


class LabelsProblem(Problem):
    """The labels file cannot be used; the text names the line and what to do."""


class LabelRow(NamedTuple):
    path: str
    label: str
    split: str
    """train, val, or empty."""


def read_labels_file(file: Path, directory: Path) -> Iterator[LabelRow]:
    """The rows of a labels file, a row at a time.

    Args:
        file: UTF-8, with a header line that names path and label, in any order. Commas divide
            the cells, or semicolons or tabs if the header has more of those.
        directory: Paths are relative to it, else to the file's own folder.

    Raises:
        LabelsProblem: missing, not text, without a header, or a line that names no image.
    """
    where = f"--labels {printable(str(file))}"
    if not os.path.isfile(file):
        wrong = "it is no file" if os.path.exists(file) else "there is no such file"
        raise LabelsProblem(f"{where}: {wrong}; name a CSV file with the columns path and label.")
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
                        f"{where}, line {line}: {cells[columns['path']]} is there already "
                        f"(line {seen[row.path]}); name each image once."
                    )
                seen[row.path] = line
                yield row
    except UnicodeDecodeError as error:
        raise LabelsProblem(f"{where}: it is not UTF-8 text; save it as UTF-8.") from error
    except csv.Error as error:
        raise LabelsProblem(
            f"{where}, line {rows.line_num}: it is no CSV file ({error}); save it as one."
        ) from error
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


def _row(
    where: str, cells: list[str], columns: dict[str, int], folders: tuple[str, ...]
) -> LabelRow:
    found = {
        name: cells[place].strip() if place < len(cells) else "" for name, place in columns.items()
    }
    for name in ("path", "label"):
        if not found[name]:
            raise LabelsProblem(f"{where}: the {name} is missing; write it, or remove the line.")
    split = SPLITS.get(found.get("split", "").lower())
    if split is None:
        raise LabelsProblem(f"{where}: the split is {found['split']}; it must be train or val.")
    for folder in folders:
        path = os.path.normpath(os.path.join(folder, found["path"]))
        if os.path.isfile(path):
            return LabelRow(path, sys.intern(found["label"]), split)
    raise LabelsProblem(
        f"{where}: there is no image {found['path']} in {printable(folders[0])}; "
        "paths are relative to --data."
    )
