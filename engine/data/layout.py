"""Recognise the layout of a dataset folder: its split and its classes.

The folders of a split are recognised by their names, in any case: `train` or `training`, `val`,
`valid`, `validation`, `dev` or `eval`, and `test` or `testing`, also with words around them such as
`seg_train` beside `seg_test`. They may be one level below a single folder. A folder that looks like
part of a split and cannot be used as one is refused.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.data.class_names import folded, match_names
from engine.data.decoding import image_endings
from engine.data.left_out import OUTSIDE, Tally
from engine.data.listing import OTHER_ENDINGS, class_folders, is_folder
from engine.data.samples import DataProblem, printable

Role = Literal["train", "val", "test"]

TRAIN_NAMES = ("train", "training", "trn")
VALIDATION_NAMES = ("val", "valid", "validation", "validate", "dev", "eval", "evaluation")
TEST_NAMES = ("test", "testing", "tests", "tst", "holdout")
FIRST_VALIDATION_NAMES = ("val", "valid", "validation")
"""The names of a validation folder that version 0.1.0 knew."""
TEST_FOLDERS = "test folders"
BESIDE = "folders beside the training images"
WRAPPERS = 3
"""The largest number of single folders around a dataset."""
_NAMES: dict[Role, tuple[str, ...]] = {
    "train": TRAIN_NAMES,
    "val": VALIDATION_NAMES,
    "test": TEST_NAMES,
}
_ROLES: dict[str, Role] = {name: role for role, names in _NAMES.items() for name in names}
_RANK = {name: rank for rank, name in enumerate((*TRAIN_NAMES, *VALIDATION_NAMES, *TEST_NAMES))}
_GENERIC = frozenset(
    "set sets data dataset images image imgs img pictures photos split folder files".split()
)
"""Words that say nothing about the split that they stand beside."""


@dataclass(frozen=True)
class Split:
    """A folder whose name says which part of a split it holds."""

    role: Role
    name: str
    rest: tuple[str, ...]
    """The other words of the name, such as `seg` in `seg_train`."""

    @property
    def rank(self) -> tuple[bool, bool, int, str]:
        """The order of folders with the same role: the plain word first."""
        word = folded(self.name)
        return bool(self.rest), word != self.name, _RANK.get(word, len(_RANK)), self.name


@dataclass
class Layout:
    """The folders of a dataset."""

    train: Path
    """The folder that holds the class folders of the training images."""
    classes: list[str]
    """The names of the class folders, in alphabetical order."""
    validation: Path | None = None
    """The folder that holds the class folders of the validation images, if there is one."""
    tests: list[Path] = field(default_factory=list)
    """Folders with test images, which are not used for training."""


def split_of(name: str) -> Split | None:
    """Return the part of a split that a folder's name stands for; None if it is another name."""
    words = [word for word in re.split(r"[\W_\d]+", folded(name)) if word]
    if len(words) == 1:
        for suffix in _GENERIC:
            stem = words[0].removesuffix(suffix)
            if stem in _ROLES:
                words = [stem]
                break
    known = [word for word in words if word in _ROLES]
    roles = {_ROLES[word] for word in known}
    if len(roles) != 1 or not (words[0] in _ROLES or words[-1] in _ROLES):
        return None
    rest = tuple(word for word in words if word not in _ROLES and word not in _GENERIC)
    return Split(roles.pop(), name, rest)


def find_splits(names: list[str]) -> list[Split]:
    """Return the folders that are parts of a split, judging by the names of all of them.

    A name with other words counts if another part of a split has the same ones, so that
    `seg_train` beside `seg_test` is part of a split, and the class `steam_train` is not.
    """
    splits = [split for name in names if (split := split_of(name)) is not None]
    found = [
        split
        for split in splits
        if not split.rest
        or any(other.rest == split.rest and other.role != split.role for other in splits)
    ]
    # `valid` is a class beside `invalid`.
    return [split for split in found if not {f"in{folded(split.name)}"} & set(map(folded, names))]


def recognise(directory: Path, where: str, tally: Tally) -> Layout:
    """Recognise the layout of a dataset folder.

    Args:
        directory: The folder.
        where: The option that named it, for messages.
        tally: Counts the folders and files that are left out.

    Raises:
        DataProblem: A folder looks like part of a split and cannot be used as one, or there are no
            class folders.
        OSError: A folder cannot be read.
    """
    root = directory
    for _ in range(WRAPPERS):
        names = class_folders(root, tally)
        _count_files(root, tally)
        splits = find_splits(names)
        others = [name for name in names if name not in {split.name for split in splits}]
        trains = [split for split in splits if split.role == "train"]
        rest = [split for split in splits if split.role != "train"]
        if any(class_folders(root / split.name, Tally("")) for split in trains):
            return _train_folder(root, where, trains, rest, others, tally)
        if trains and not (
            any(_holds_files(root / name) for name in others)
            and not any(_direct_images(root / split.name) for split in rest)
        ):
            raise _flat(root / min(trains, key=lambda split: split.rank).name, where, others)
        if rest and not others and not trains:
            raise _only(root, where, rest)
        if len(others) == 1 and not trains and _wraps(root / others[0]):
            if rest:
                inner = recognise(root / others[0], where, tally)
                return _with_outer(root, inner, where, rest, tally)
            root = root / others[0]
            continue
        return _class_folders(root, where, sorted(others + [s.name for s in trains]), rest, tally)
    names = class_folders(root, tally)
    return _class_folders(root, where, names, [], tally)


def recognise_first(directory: Path) -> Layout:
    """Recognise the layout of a dataset folder by the rules of version 0.1.0."""
    ignored = Tally("")
    train = directory / "train"
    # A class may itself be called train. Its folder then has no class folders in it.
    classes = class_folders(train, ignored, rules=1) if train.is_dir() else []
    own = class_folders(directory, ignored, rules=1)
    if not classes and own != ["train"]:
        return Layout(directory, own)
    names = (name for name in FIRST_VALIDATION_NAMES if (directory / name).is_dir())
    validation = next(names, None)
    return Layout(train, classes, directory / validation if validation else None)


def evaluation_folder(
    directory: Path, classes: tuple[str, ...], where: str
) -> tuple[Path, Role | None]:
    """Return the folder to evaluate a model on, and the part of a split that it holds.

    A test folder is preferred to a validation folder, and both to the folder itself. A folder that
    is named like one of the model's classes is a class.

    Args:
        directory: The folder that holds them.
        classes: The model's classes.
        where: The option that named the folder, for messages.

    Raises:
        DataProblem: There are training images alone.
    """
    root = directory
    for _ in range(WRAPPERS):
        names = class_folders(root, Tally(""))
        known = match_names([printable(name) for name in names], classes)
        others = [name for name in names if printable(name) not in known]
        splits = find_splits(others)
        for role in ("test", "val"):
            parts = sorted((s for s in splits if s.role == role), key=lambda s: s.rank)
            for part in parts:
                if class_folders(root / part.name, Tally("")):
                    return _inner(root / part.name), role
        trains = [split for split in splits if split.role == "train"]
        if trains:
            raise DataProblem(
                f"{where} has training images, but no val/ or test/ with class folders; to use "
                f"the training images, pass --data {printable(str(root / trains[0].name))}."
            )
        if len(names) != 1 or known or not _wraps(root / names[0]):
            break
        root = root / names[0]
    return root, None


# --- the parts of a split -----------------------------------------------------------------------


def _train_folder(
    root: Path, where: str, trains: list[Split], rest: list[Split], others: list[str], tally: Tally
) -> Layout:
    """Return the layout of a folder with a training folder that holds class folders."""
    usable = [split for split in trains if class_folders(root / split.name, Tally(""))]
    usable.sort(key=lambda split: split.rank)
    if len(usable) > 1 and usable[0].name != "train":
        names = " and ".join(f"{printable(split.name)}/" for split in usable[:2])
        raise DataProblem(
            f"{where}: {names} both look like training images; rename or remove one of them."
        )
    chosen = usable[0]
    for split in trains:
        if split is not chosen:
            tally.add(BESIDE, str(root / split.name), f"{printable(chosen.name)}/ is used")
    for name in others:
        tally.add(BESIDE, str(root / name))
    train = _inner(root / chosen.name)
    _count_files(train, tally)
    classes = class_folders(train, tally)
    layout = Layout(train, classes, tests=_left_out_tests(root, rest, tally))
    vals = sorted((split for split in rest if split.role == "val"), key=lambda s: s.rank)
    if vals:
        layout.validation = _validation_folder(root / vals[0].name, where, tally)
        for split in vals[1:]:
            reason = f"{printable(vals[0].name)}/ is used for validation"
            tally.add(BESIDE, str(root / split.name), reason)
    return layout


def _class_folders(
    root: Path, where: str, classes: list[str], rest: list[Split], tally: Tally
) -> Layout:
    """Return the layout of a folder with class folders, perhaps beside parts of a split."""
    layout = Layout(root, classes, tests=_left_out_tests(root, rest, tally))
    vals = sorted((split for split in rest if split.role == "val"), key=lambda s: s.rank)
    if len(vals) > 1:
        names = " and ".join(f"{printable(split.name)}/" for split in vals[:2])
        raise DataProblem(
            f"{where}: {names} both look like validation images; rename or remove one of them."
        )
    for split in vals:
        layout.validation = _validation_folder(root / split.name, where, tally)
    return layout


def _with_outer(
    directory: Path, inner: Layout, where: str, outer: list[Split], tally: Tally
) -> Layout:
    """Add the parts of a split that stand beside the single folder that holds a dataset."""
    inner.tests += _left_out_tests(directory, outer, tally)
    for split in outer:
        if split.role == "val" and inner.validation is None:
            inner.validation = _validation_folder(directory / split.name, where, tally)
        elif split.role == "val":
            tally.add(BESIDE, str(directory / split.name))
    return inner


def _left_out_tests(root: Path, splits: list[Split], tally: Tally) -> list[Path]:
    tests = [root / split.name for split in splits if split.role == "test"]
    for folder in tests:
        usable = class_folders(folder, Tally(""))
        reason = "kept for tl-tui evaluate" if usable else "no class folders in it"
        tally.add(TEST_FOLDERS, str(folder), reason)
    return tests


def _validation_folder(folder: Path, where: str, tally: Tally) -> Path:
    """Return the folder with the class folders of the validation images.

    Raises:
        DataProblem: It has none.
    """
    inner = _inner(folder)
    if class_folders(inner, tally):
        _count_files(inner, tally)
        return inner
    name = printable(folder.name)
    if images := _direct_images(folder):
        raise DataProblem(
            f"{where}: {name}/ holds {_images(images)} but no class folders, so their classes are "
            "not known; sort them into one folder per class, or move the folder away (if it is a "
            "class, rename it)."
        )
    raise DataProblem(
        f"{where}: {name}/ holds no images; add some, or remove the folder to use a fifth of the "
        "training images for validation."
    )


def _inner(folder: Path) -> Path:
    """Return the folder itself, or a single folder in it that repeats its name or says `images`."""
    names = class_folders(folder, Tally(""))
    if len(names) != 1:
        return folder
    inner, own = split_of(names[0]), split_of(folder.name)
    repeats = folded(names[0]) in _GENERIC or (inner and own and inner.role == own.role)
    return folder / names[0] if repeats and _wraps(folder / names[0]) else folder


# --- what a folder holds ------------------------------------------------------------------------


def _wraps(folder: Path) -> bool:
    """Return whether a folder holds folders alone, and so is no class."""
    return bool(class_folders(folder, Tally(""))) and not _direct_images(folder)


def _direct_images(folder: Path) -> int:
    """Return the number of images that lie directly in a folder, judging by their endings."""
    endings = image_endings()
    with os.scandir(folder) as entries:
        return sum(
            not entry.name.startswith(".")
            and os.path.splitext(entry.name)[1].lower() in endings
            and not is_folder(entry)
            for entry in entries
        )


def _holds_files(folder: Path) -> bool:
    """Return whether there is any file below a folder that may be an image, so that it may be a
    class."""
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            ending = os.path.splitext(name)[1].lower()
            if not name.startswith(".") and ending not in OTHER_ENDINGS:
                return True
    return False


def _count_files(root: Path, tally: Tally) -> None:
    """Count the files that lie beside the class folders."""
    endings = image_endings()
    with os.scandir(root) as entries:
        for entry in entries:
            if is_folder(entry):
                continue
            ending = os.path.splitext(entry.name)[1].lower()
            if ending in endings and not entry.name.startswith("."):
                tally.add(OUTSIDE, entry.path)
            else:
                tally.add_file(entry.name, entry.path)


# --- refusals -----------------------------------------------------------------------------------


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _flat(folder: Path, where: str, others: list[str]) -> DataProblem:
    """Return the refusal of a training folder without class folders."""
    name = printable(folder.name)
    images = _direct_images(folder)
    holds = f"{name}/ holds {_images(images)}, but " if images else ""
    is_class = f" If {name}/ is a class, rename it." if images and others else ""
    return DataProblem(
        f"{where}: {holds}there are no class folders in {name}/; put the images of each class in a "
        f"folder named after it, or pass a --labels file.{is_class}"
    )


def _only(root: Path, where: str, splits: list[Split]) -> DataProblem:
    """Return the refusal of a folder with validation or test images alone."""
    names = " and ".join(f"{printable(split.name)}/" for split in splits[:3])
    return DataProblem(
        f"{where}: there is only {names}, and no folder with training images; add train/, or name "
        f"the folder itself, as in --data {printable(str(root / splits[0].name))}."
    )
