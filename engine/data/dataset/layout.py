"""Recognise the layout of a dataset folder: its split and its classes.

The folders of a split are recognised by their names, in any case: `train` or `training`, `val`,
`valid`, `validation`, `dev` or `eval`, and `test` or `testing`, also with words around them such as
`seg_train` beside `seg_test`. They may be one level below a single folder. A folder that looks like
part of a split and cannot be used as one is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.data.dataset.class_names import match_names
from engine.data.dataset.folder_contents import (
    class_root,
    count_files,
    direct_images,
    holds_files,
    image_root,
    wraps,
)
from engine.data.dataset.left_out import Tally
from engine.data.dataset.listing import class_folders
from engine.data.dataset.split_names import Role, Split, find_splits
from engine.data.samples import DataProblem, printable

FIRST_VALIDATION_NAMES = ("val", "valid", "validation")
"""The names of a validation folder that version 0.1.0 knew."""
TEST_FOLDERS = "test folders"
BESIDE = "folders beside the training images"
WRAPPERS = 3
"""The largest number of single folders around a dataset."""
FEW_FOLDERS = 20
"""Up to this number of folders, those without images, such as `annotations`, are no classes if a
single one is left that holds the dataset."""


@dataclass
class Layout:
    """The folders of a dataset."""

    train: Path
    """The folder that holds the class folders of the training images."""
    classes: list[str]
    """The names of the class folders, in alphabetical order."""
    validation: Path | None = None
    """The folder that holds the class folders of the validation images, if there is one."""


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
        count_files(root, tally)
        splits = find_splits(names)
        others = [name for name in names if name not in {split.name for split in splits}]
        trains = [split for split in splits if split.role == "train"]
        rest = [split for split in splits if split.role != "train"]
        if (inner_root := _inner_split(root, trains)) is not None:
            for name in others:
                tally.add(BESIDE, str(root / name))
            inner = recognise(inner_root, where, tally)
            return _with_outer(root, inner, where, rest, tally)
        if any(class_root(root / split.name) for split in trains):
            return _train_folder(root, where, trains, rest, others, tally)
        if trains and not (
            any(holds_files(root / name) for name in others)
            and not any(direct_images(root / split.name) for split in rest)
        ):
            raise _flat(root / min(trains, key=lambda split: split.rank).name, where, others)
        if rest and not others and not trains:
            raise _only(root, where, rest)
        single = None if trains else _single(root, others)
        if single is not None:
            for name in others:
                if name != single:
                    tally.add(BESIDE, str(root / name))
            if rest:
                inner = recognise(root / single, where, tally)
                return _with_outer(root, inner, where, rest, tally)
            root = root / single
            continue
        return _class_folders(root, where, sorted(others + [s.name for s in trains]), rest, tally)
    names = class_folders(root, tally)
    return _class_folders(root, where, names, [], tally)


def _inner_split(root: Path, trains: list[Split]) -> Path | None:
    """Return the only training folder, if it holds a split itself, as in `train/train/`."""
    if len(trains) != 1:
        return None
    inner = root / trains[0].name
    names = class_folders(inner, Tally(""))
    splits = find_splits(names)
    roles = {split.role for split in splits}
    if len(splits) < len(names) or "train" not in roles or len(roles) == 1:
        return None
    return inner if all(class_root(inner / split.name) is not None for split in splits) else None


def _single(root: Path, names: list[str]) -> str | None:
    """Return the only one of some folders with images, if it holds folders and so is no class."""
    if 1 < len(names) <= FEW_FOLDERS:
        names = [name for name in names if holds_files(root / name)]
    return names[0] if len(names) == 1 and wraps(root / names[0]) else None


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
                if (found := class_root(root / part.name)) is not None:
                    return found, role
        trains = [split for split in splits if split.role == "train"]
        if (inner := _inner_split(root, trains)) is not None:
            root = inner
            continue
        if trains:
            raise DataProblem(
                f"{where} has training images, but no val/ or test/ with class folders; to use "
                f"the training images, pass --data {printable(str(root / trains[0].name))}."
            )
        single = None if known else _single(root, others)
        if single is None:
            break
        root = root / single
    return root, None


# --- the parts of a split -----------------------------------------------------------------------


def _train_folder(
    root: Path, where: str, trains: list[Split], rest: list[Split], others: list[str], tally: Tally
) -> Layout:
    """Return the layout of a folder with a training folder that holds class folders."""
    usable = [split for split in trains if class_root(root / split.name) is not None]
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
    train = class_root(root / chosen.name)
    assert train is not None
    count_files(train, tally)
    classes = class_folders(train, tally)
    for name in others:
        same = set(class_folders(root / name, Tally(""))) & set(classes)
        shown = f"{printable(chosen.name)}/"
        reason = f"not the name of a validation folder, but holds classes of {shown}"
        tally.add(BESIDE, str(root / name), reason if same else "")
    layout = Layout(train, classes)
    _leave_out_tests(root, rest, tally)
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
    layout = Layout(root, classes)
    _leave_out_tests(root, rest, tally)
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
    _leave_out_tests(directory, outer, tally)
    for split in outer:
        if split.role == "val" and inner.validation is None:
            inner.validation = _validation_folder(directory / split.name, where, tally)
        elif split.role == "val":
            tally.add(BESIDE, str(directory / split.name))
    return inner


def _leave_out_tests(root: Path, splits: list[Split], tally: Tally) -> None:
    for folder in (root / split.name for split in splits if split.role == "test"):
        if class_root(folder) is not None:
            reason = "kept for tl-tui evaluate"
        else:
            reason = "no class folders in it; if it is a class, rename it"
        tally.add(TEST_FOLDERS, str(folder), reason)


def _validation_folder(folder: Path, where: str, tally: Tally) -> Path:
    """Return the folder with the class folders of the validation images.

    Raises:
        DataProblem: It has none.
    """
    inner = class_root(folder)
    if inner is not None:
        class_folders(inner, tally)
        count_files(inner, tally)
        return inner
    flat = image_root(folder)
    name = printable(str(flat.relative_to(folder.parent)))
    if images := direct_images(flat):
        raise DataProblem(
            f"{where}: {name}/ holds {_images(images)} but no class folders, so their classes are "
            "not known; sort them into one folder per class, or move the folder away (if it is a "
            "class, rename it)."
        )
    raise DataProblem(
        f"{where}: {name}/ holds no images; add some, or remove the folder to use a fifth of the "
        "training images for validation."
    )


# --- refusals -----------------------------------------------------------------------------------


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _flat(folder: Path, where: str, others: list[str]) -> DataProblem:
    """Return the refusal of a training folder without class folders."""
    flat = image_root(folder)
    name = printable(str(flat.relative_to(folder.parent)))
    images = direct_images(flat)
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
