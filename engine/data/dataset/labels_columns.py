"""Which columns of a labels file hold the path, the label and the split."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.data.dataset.image_finder import ImageFinder
from engine.data.samples import printable
from tl_tui.common.errors import Problem
from tl_tui.protocol.dataset import LeftOut
from tl_tui.settings.columns import Role

_PATHS = (
    "path filepath imagepath imgpath filename imagename imgname imagefile file files fname "
    "image images img imageid imgid photo picture id name"
)
_LABELS = (
    "label labels class classname classlabel labelname category categoryname target species breed "
    "diagnosis dx type kind tag tags y groundtruth gt classid labelid categoryid"
)
_SPLITS = "split splits subset set partition phase usage dataset part stage fold folds"
NAMES: dict[str, tuple[str, ...]] = {
    "path": tuple(_PATHS.split()),
    "label": tuple(_LABELS.split()),
    "split": tuple(_SPLITS.split()),
}
"""The usual names of each column, the likeliest first, in lower case and without separators."""
FLAGS = {
    **dict.fromkeys(("isvalid", "isval", "isvalidation", "valid", "val"), ("val", "train")),
    **dict.fromkeys(("istrain", "istraining", "istrainingimage"), ("train", "val")),
    **dict.fromkeys(("istest",), ("test", "train")),
}
"""Columns with True or False, and the split that either means."""
WORDS = {
    **dict.fromkeys(("", "train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "publictest", "privatetest", "holdout"), "test"),
}
"""The split that a value means, in lower case."""
BOOLEANS = {
    **dict.fromkeys(("true", "1", "1.0", "yes", "t", "y"), True),
    **dict.fromkeys(("false", "0", "0.0", "no", "f", "n", ""), False),
}
MOST_VALUES = 50
"""Of a column with more values than this, no more are kept."""


class LabelsProblem(Problem):
    """The labels file cannot be used. The message says on which line and what to do."""


def squeezed(name: str) -> str:
    """Return the name of a column in lower case and without separators: `File Name`, `file_name`
    and `filename` are the same."""
    return re.sub(r"[\s_.\-]+", "", name).lower()


def split_of(value: str) -> str | None:
    """Return the split that a value means, also with a prefix or suffix, as in `seg_train`.

    None if it means none.
    """
    value = value.strip().lower()
    if value in WORDS:
        return WORDS[value]
    parts = re.split(r"[^a-z]+", value)
    found = {WORDS[part] for part in (parts[0], parts[-1]) if part and part in WORDS}
    return found.pop() if len(found) == 1 else None


@dataclass
class Columns:
    """The columns of a labels file. Indices count from 0."""

    names: list[str]
    header: bool
    """Whether the first line names the columns; otherwise it is a row, and names are numbers."""
    path: int
    label: int
    split: list[int] = field(default_factory=list)
    """The columns that say which split a row belongs to; empty if none does."""
    unused: list[LeftOut] = field(default_factory=list)

    def is_flag(self, index: int) -> bool:
        """Return whether a column says True or False, by its name, as `is_valid` does."""
        return squeezed(self.names[index]) in FLAGS

    def split_of_row(self, cells: Sequence[str]) -> str | None:
        """Return the split of a row: empty if its cells are, None if they are not understood."""
        splits: set[str | None] = set()
        for index in self.split:
            value = cells[index].strip() if index < len(cells) else ""
            flag = FLAGS.get(squeezed(self.names[index]))
            if flag is not None and value.lower() in BOOLEANS:
                splits.add(flag[0] if BOOLEANS[value.lower()] else flag[1])
            else:
                splits.add(split_of(value))
        if None in splits:
            return None
        return next((split for split in ("test", "val", "train") if split in splits), "")


def find_columns(
    where: str,
    first: Sequence[str],
    requested: Mapping[Role, str],
    finder: ImageFinder,
    values_of: Callable[[Iterable[int], bool], dict[int, list[str]]],
) -> Columns:
    """Find the columns of a labels file.

    Args:
        where: The file, for messages.
        first: The cells of the first line.
        requested: The columns that the user named, by role.
        finder: Finds images.
        values_of: Returns the different values of columns, given whether there is a header.

    Raises:
        LabelsProblem: A column is missing, or it is not clear which one is meant.
    """
    cells = [cell.strip() for cell in first]
    known = {role: _named(cells, NAMES[role]) for role in NAMES}
    by_name = [name for name in requested.values() if name and _index(cells, name) is not None]
    images = [index for index, cell in enumerate(cells) if finder.looks_like_image(cell)]
    images.sort(key=lambda index: not finder.has_ending(cells[index]))  # a number may be an id
    header = bool(by_name or known["path"]) or not images
    names = cells if header else [str(number) for number in range(1, len(cells) + 1)]
    chosen: dict[Role, int] = {}
    for role, name in requested.items():
        if (index := _requested(where, role, name, names)) is not None:
            chosen[role] = index
    if "path" not in chosen:
        candidates = known["path"] if header else images
        chosen["path"] = _first_with_images(
            candidates, finder, values_of, header=header, not_in=chosen
        )
    if "label" not in chosen:
        taken = set(chosen.values())
        candidates = [index for index in known["label"] if index not in taken] if header else []
        if not header:
            rest = [index for index in range(len(cells)) if index not in taken]
            words = values_of(rest, header)
            candidates = [index for index in rest if not _are_splits(words[index])]
            if len(candidates) > 1:
                raise LabelsProblem(
                    f"{where}: the first line does not name the columns, and {len(candidates)} of "
                    "them could be the label; say which is what, as in "
                    f"--columns path={chosen['path'] + 1},label={candidates[0] + 1}."
                )
        chosen["label"] = candidates[0] if candidates else -1
    for role in ("path", "label"):
        if chosen[role] < 0:
            raise LabelsProblem(_missing(where, role, cells))
    columns = Columns(names, header, chosen["path"], chosen["label"])
    _find_split(columns, chosen, requested, values_of)
    return columns


def _missing(where: str, role: str, cells: list[str]) -> str:
    have = ", ".join(cells)
    have = printable(have if len(have) <= 60 else f"{have[:60]}…") or "no columns"
    return (
        f"{where}: the first line names no column as {role} (it has {have}). Rename one to {role}, "
        f"or say which it is with --columns {role}=NAME."
    )


def _named(cells: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the columns with one of these names, in the order of the names."""
    found = [squeezed(cell) for cell in cells]
    return [index for name in names for index, cell in enumerate(found) if cell == name]


def _index(cells: Sequence[str], name: str) -> int | None:
    """Return the column of this name; None if there is none."""
    if name in cells:
        return list(cells).index(name)
    alike = [index for index, cell in enumerate(cells) if squeezed(cell) == squeezed(name)]
    return alike[0] if len(alike) == 1 else None


def _requested(where: str, role: str, name: str, names: list[str]) -> int | None:
    """Return the column that the user named for a role; None for none.

    Raises:
        LabelsProblem: There is no such column.
    """
    if not name:
        return None
    optional = name.startswith("?")
    index = _index(names, name.removeprefix("?"))
    if index is None and name.isdigit() and 1 <= int(name) <= len(names):
        index = int(name) - 1
    if index is None and not optional:
        near = difflib.get_close_matches(name, names, n=1)
        have = f"did you mean {near[0]}?" if near else f"it has {', '.join(names)[:60]}."
        raise LabelsProblem(f"{where}: --columns {role}={name}: there is no such column; {have}")
    return index


def _first_with_images(
    candidates: Sequence[int],
    finder: ImageFinder,
    values_of: Callable[[Iterable[int], bool], dict[int, list[str]]],
    *,
    header: bool,
    not_in: Mapping[Role, int],
) -> int:
    """Return the first column whose values name an existing image; else the first one; else -1."""
    candidates = [index for index in candidates if index not in not_in.values()]
    if len(candidates) > 1:
        values = values_of(candidates, header)
        for index in candidates:
            if any(value and finder.find(value) is not None for value in values[index]):
                return index
    return candidates[0] if candidates else -1


# --- the split ----------------------------------------------------------------------------------


def _are_splits(values: Iterable[str]) -> bool:
    """Return whether the values of a column are names of splits, at least one of them."""
    values = list(values)
    return any(values) and all(split_of(value) is not None for value in values)


def _find_split(
    columns: Columns,
    chosen: Mapping[Role, int],
    requested: Mapping[Role, str],
    values_of: Callable[[Iterable[int], bool], dict[int, list[str]]],
) -> None:
    """Find the columns that say the split, and name those that are not used."""
    rest = [i for i in range(len(columns.names)) if i not in (columns.path, columns.label)]
    why: dict[int, str] = {}
    if "split" in requested:
        columns.split = [chosen["split"]] if "split" in chosen else []
    else:
        named = _named(columns.names, NAMES["split"]) if columns.header else rest
        flags = _named(columns.names, tuple(FLAGS)) if columns.header else []
        values = values_of({*named, *flags} & set(rest), columns.header)
        # A column named split must say the split; if it does not, its first such line is refused.
        exact = [index for index in named if squeezed(columns.names[index]) == "split"]
        words = [i for i in named if i in values and (i in exact or _are_splits(values[i]))]
        answers = [
            index
            for index in flags
            if index in values and all(value.lower() in BOOLEANS for value in values[index])
        ]
        columns.split = words[:1] or answers
        if columns.header:
            unclear = values.keys() - {*words, *answers}
            why = dict.fromkeys(unclear, "its values do not say which rows are for validation")
    others = [index for index in rest if index not in columns.split]
    plain = [columns.names[index] for index in others if index not in why]
    if plain:
        kind = "column" if len(plain) == 1 else "columns"
        columns.unused.append(
            LeftOut(
                kind=kind,
                count=len(plain),
                example=printable(", ".join(plain)),
                reason="not used",
            )
        )
    for index in others:
        if index in why:
            name = printable(columns.names[index])
            columns.unused.append(LeftOut(kind="column", count=1, example=name, reason=why[index]))
