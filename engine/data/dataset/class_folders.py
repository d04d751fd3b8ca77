"""List the images of class folders for training and validation."""

from __future__ import annotations

import difflib
import os
from collections.abc import Generator, Iterator
from operator import itemgetter
from pathlib import Path

from engine.data.dataset.class_names import alike, match_names, matched_sentences, similar_sentences
from engine.data.dataset.folder_contents import class_root
from engine.data.dataset.layout import Layout, recognise, recognise_first
from engine.data.dataset.left_out import Tally
from engine.data.dataset.listing import Lister, class_folders
from engine.data.dataset.repeated_images import RepeatedImages, find_repeated
from engine.data.samples import A_FIFTH, DataProblem, ImageFolder, Sample, printable
from engine.data.splits import stratified


def from_class_folders(
    directory: Path, where: str, name: str, seed: int, rules: int
) -> Iterator[int | ImageFolder]:
    """List the images of class folders, in any layout that `layout` recognises.

    Args:
        directory: The folder.
        where: The option that named it, for messages.
        name: Name of the dataset.
        seed: Random seed for the split, if the folder has no validation images of its own.
        rules: The rules by which the images are found; see `RunConfig.image_rules`.

    Yields:
        The number of images found so far; finally the dataset.

    Raises:
        DataProblem: The images cannot be used for training.
        OSError: A folder cannot be read.
    """
    lister = Lister(str(directory), rules)
    if rules == 1:
        layout = recognise_first(directory)
    else:
        layout = recognise(directory, where, lister.tally)
    classes = layout.classes
    if not classes:
        raise no_class_folders(where, layout.train, lister.tally)
    folders = [(class_name, label) for label, class_name in enumerate(classes)]
    train = yield from lister.list_classes(layout.train, folders)
    _check_classes(layout, train, where, lister, rules)
    findings = similar_sentences(classes)
    if rules > 1:
        findings += _nested_sentences(layout, lister)
    if layout.validation is not None:
        val, more = yield from _validation(layout, layout.validation, where, lister)
        repeated = yield from _compare(train, val, lister)
        findings += [*more, *repeated.sentences(str(directory))]
        source = f"{printable(os.path.relpath(layout.validation, directory))}/"
        if rest := repeated.unfinished():
            source += f"; {rest}"
    else:
        train, val = stratified(train, seed)
        source = A_FIFTH
        if not val:
            raise DataProblem(f"{where}: too few images to keep any for validation; add some.")
    names = tuple(printable(class_name) for class_name in classes)
    yield ImageFolder(
        name, names, tuple(train), tuple(val), source, lister.tally.items(), tuple(findings)
    )


def no_class_folders(
    where: str, folder: Path, tally: Tally, what: str = "class folders"
) -> DataProblem:
    """Return the refusal of a folder that holds no class folders, with what it holds instead."""
    words = tally.words()
    return DataProblem(
        f"{where}: there are no {what} in {printable(folder.name)}/; put the images of each class "
        "in a folder named after it, or pass a --labels file."
        + (f" Left out: {words}." if words else "")
    )


def _compare(
    train: list[Sample], val: list[Sample], lister: Lister
) -> Generator[int, None, RepeatedImages]:
    """Compare validation images with training images; see `find_repeated`.

    Yields:
        The number of images found so far.

    Returns:
        What was found.
    """
    comparison = find_repeated(train, val)
    while True:
        try:
            next(comparison)
        except StopIteration as ended:
            return ended.value
        yield lister.images


def _check_classes(
    layout: Layout, train: list[Sample], where: str, lister: Lister, rules: int
) -> None:
    """Raise a problem unless there are two classes or more and all of them hold images."""
    classes = layout.classes
    filled = sorted({sample.label for sample in train})
    left_out = lister.tally.words()
    besides = f" Left out: {left_out}." if left_out else ""
    if not train:
        raise DataProblem(
            f"{where}: the class folders hold no images (jpg, png, webp, heic, tif …).{besides}"
        )
    if len(filled) < 2:
        raise DataProblem(
            f"{where}: only one class with images ({printable(classes[filled[0]])}); "
            f"a classifier needs at least two, each in a folder of its own.{besides}"
        )
    if len(filled) < len(classes):
        empty = next(name for index, name in enumerate(classes) if index not in filled)
        raise DataProblem(
            f"{where}: the class folder {printable(empty)}/ {_contents(layout.train / empty)}; "
            "add images, or move it away."
        )
    if rules > 1:
        _check_nested(layout, where, lister)


def _check_nested(layout: Layout, where: str, lister: Lister) -> None:
    """Raise a problem if a class folder holds a split, or the class folders once more."""
    if lister.inner_split is not None:
        path, parts = lister.inner_split
        name = printable(os.path.relpath(path, layout.train))
        shown = " and ".join(f"{printable(part.name)}/" for part in parts[:2])
        if class_root(Path(path) / parts[0].name) is not None:
            advice = f"to use it, pass --data {printable(path)}"
        else:
            advice = (
                f"make {printable(parts[0].name)}/{name}/ of {name}/{printable(parts[0].name)}/"
            )
        raise DataProblem(
            f"{where}: {name}/ holds {shown}, a split inside a class folder, which cannot be used; "
            f"{advice}."
        )
    for path, subfolders in lister.subfolders.items():
        if len(same := sorted(set(subfolders) & set(layout.classes))) > 1:
            name = printable(os.path.basename(path))
            raise DataProblem(
                f"{where}: {name}/ holds folders with the names of classes ({printable(same[0])}, "
                f"{printable(same[1])}), so it looks like a copy of the dataset; move it away."
            )


def _nested_sentences(layout: Layout, lister: Lister) -> list[str]:
    """Return a sentence if all class folders hold folders of the same names; else nothing."""
    kinds = {tuple(names) for names in lister.subfolders.values()}
    if len(kinds) != 1 or len(lister.subfolders) != len(layout.classes):
        return []
    (names,) = kinds
    shown = ", ".join(map(printable, names[:3])) + (", ..." if len(names) > 3 else "")
    return [
        f"All class folders hold the folders {shown}. If these are the classes, name one of the "
        "class folders with --data, or merge them."
    ]


def _contents(folder: Path) -> str:
    """Return what a folder without images holds, as in `holds no images, only 3 .pdf`."""
    lister = Lister(str(folder))
    for _ in lister.walk(str(folder)):
        pass
    for _ in lister.images_among(lister.take_doubtful()):
        pass
    words = lister.tally.words()
    return f"holds no images, only {words}" if words else "is empty"


def _validation(
    layout: Layout, folder: Path, where: str, lister: Lister
) -> Generator[int, None, tuple[list[Sample], list[str]]]:
    """List the validation images, whose class folders are matched with those for training.

    Yields:
        The number of images found so far.

    Returns:
        The images, and sentences about the names that were matched.
    """
    shown = printable(folder.name)
    names = class_folders(folder, Tally(""))
    matched = match_names(names, layout.classes)
    unknown = [name for name in names if name not in matched]
    if unknown:
        train = f"{printable(layout.train.name)}/"
        if twins := alike(unknown[0], names):
            both = " and ".join(printable(name) for name in sorted((unknown[0], *twins)))
            one = alike(unknown[0], layout.classes) or [twins[0]]
            raise DataProblem(
                f"{where}: {shown}/ has the classes {both}, but {train} has only "
                f"{printable(' and '.join(one))}; merge those that are the same class."
            )
        candidates = alike(unknown[0], layout.classes)
        if len(candidates) > 1:
            raise DataProblem(
                f"{where}: {shown}/ has the class {printable(unknown[0])}, which may be "
                f"{printable(' or '.join(candidates))} of {train}; rename it."
            )
        similar = difflib.get_close_matches(unknown[0], layout.classes, n=1)
        hint = f" (is it {printable(similar[0])}?)" if similar else ""
        raise DataProblem(
            f"{where}: {shown}/ has the class {printable(unknown[0])}, "
            f"which {train} does not have{hint}."
        )
    val = yield from lister.list_classes(folder, sorted(matched.items(), key=itemgetter(1)))
    if not val:
        raise DataProblem(
            f"{where}: {shown}/ holds no images; add some, or remove the folder to use a fifth of "
            f"{printable(layout.train.name)}/ for validation."
        )
    return val, matched_sentences(matched, layout.classes, f"{shown}/")
