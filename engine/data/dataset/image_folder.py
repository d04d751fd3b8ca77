"""List the images of a dataset folder.

Three layouts are supported: class folders in a training and a validation folder; class folders
alone, in which case a fifth of each class is used for validation; and a folder with a labels file.
See `layout` for the first two.

Listing yields after every thousand names, so that the engine can answer commands while it lists
millions of files. The result does not depend on the order in which the file system lists them.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from engine.data.dataset import labelled_rows
from engine.data.dataset.class_folders import from_class_folders, no_class_folders
from engine.data.dataset.class_names import alike, match_names, matched_sentences
from engine.data.dataset.labels_file import LabelsFile
from engine.data.dataset.layout import evaluation_folder
from engine.data.dataset.listing import Lister, class_folders
from engine.data.dataset.split_names import Role, find_splits
from engine.data.samples import DataProblem, ImageFolder, Sample, printable
from tl_tui.protocol.config import IMAGE_RULES
from tl_tui.protocol.dataset import LeftOut


def open_folder(
    directory: Path,
    *,
    labels: Path | None = None,
    columns: str | None = None,
    name: str | None = None,
    seed: int = 0,
    rules: int = IMAGE_RULES,
) -> ImageFolder:
    """List an image folder without yielding in between; see `list_folder`.

    Raises:
        DataProblem: The folder cannot be used for training.
    """
    *_, folder = list_folder(
        directory, labels=labels, columns=columns, name=name, seed=seed, rules=rules
    )
    assert isinstance(folder, ImageFolder)
    return folder


def list_folder(
    directory: Path,
    *,
    labels: Path | None = None,
    columns: str | None = None,
    name: str | None = None,
    seed: int = 0,
    rules: int = IMAGE_RULES,
) -> Iterator[int | ImageFolder]:
    """List an image folder.

    Args:
        directory: The folder.
        labels: A CSV file with a path and a label in each row, used instead of class folders.
        columns: Which column of it is what; see `parse_columns`.
        name: Name of the dataset; the name of the folder if None.
        seed: Random seed for the split, if the folder has no validation images of its own.
        rules: The rules by which the images are found; see `RunConfig.image_rules`.

    Yields:
        The number of images found so far, about once per thousand names; finally the dataset.

    Raises:
        DataProblem: The folder is missing, is a file, is empty or has fewer than two classes, or
            looks like a split that cannot be used.
        LabelsProblem: The labels file cannot be used.
    """
    where = f"--data {printable(str(directory))}"
    if not os.path.exists(directory):
        raise DataProblem(
            f"{where}: there is no such folder; name a folder with one subfolder per class."
        )
    if not os.path.isdir(directory):
        raise DataProblem(f"{where} is a file; name a folder with one subfolder per class.")
    try:
        name = name or printable(directory.resolve().name)
        if labels is not None:
            yield from labelled_rows.labelled_dataset(directory, labels, name, seed, columns, rules)
        else:
            yield from from_class_folders(directory, where, name, seed, rules)
    except PermissionError as error:
        raise DataProblem(
            f"{where}: you have no permission to read {printable(str(error.filename))}; "
            "change its permissions."
        ) from error
    except OSError as error:
        raise DataProblem(
            f"{where}: {printable(str(error.filename or 'it'))} cannot be read "
            f"({error.strerror or error}); try again, or check the disk."
        ) from error


# --- images for a trained model -----------------------------------------------------------------


def images_below(folder: str) -> Iterator[str | None | tuple[LeftOut, ...]]:
    """Yield the path of each image below a folder, at any depth, and None for any other name.

    The last item is what was left out.

    Raises:
        DataProblem: The folder, or one below it, cannot be read.
    """
    lister = Lister(folder)
    try:
        yield from lister.walk(folder)
        looking = lister.images_among(lister.take_doubtful())
        while True:
            try:
                next(looking)
            except StopIteration as ended:
                yield from (sample.path for sample in ended.value)
                break
            yield None
    except OSError as error:
        where = printable(str(error.filename or folder))
        raise DataProblem(f"{where} cannot be read ({error.strerror or error}).") from error
    yield lister.tally.items()


@dataclass(frozen=True)
class LabelledImages:
    """Labelled images to evaluate a model on."""

    samples: tuple[Sample, ...]
    """The samples by class, then by path; labels are indices of the model's classes."""
    source: str
    """A description of where the images come from, such as `flowers/val`."""
    part: str = ""
    """The subfolder that was used, such as `val`; empty if the whole folder was used."""
    role: Role | None = None
    """The part of a split that the images are; None if they are not part of one."""
    left_out: tuple[LeftOut, ...] = ()
    """What the folder holds besides, by kind."""
    findings: tuple[str, ...] = ()
    """Sentences about names that were matched."""


def list_labelled(
    directory: Path,
    classes: tuple[str, ...],
    *,
    labels: Path | None = None,
    columns: str | None = None,
) -> Iterator[int | LabelledImages]:
    """List labelled images for a trained model; classes are matched by name.

    The folder `test` (or testing, in any case) in the directory is used if it exists, else `val`,
    else the class folders in the directory itself; see `layout`. Of a labels file, the rows marked
    test are used, else those marked val, else all rows. Not every class of the model needs images.

    Args:
        directory: The folder.
        classes: The model's classes, in order.
        labels: A CSV file with a path and a label in each row, used instead of class folders.
        columns: Which column of it is what; see `parse_columns`.

    Yields:
        The number of images found so far, about once per thousand names; finally the images.

    Raises:
        DataProblem: There are no images, or a class is not one of the model's.
        LabelsProblem: The labels file cannot be used.
    """
    where = f"--data {printable(str(directory))}"
    if not directory.is_dir():
        reason = "it is a file" if directory.exists() else "there is no such folder"
        raise DataProblem(f"{where}: {reason}; name a folder with one subfolder per class.")
    if labels is not None:
        yield from _labelled_rows(directory, labels, classes, columns)
        return
    try:
        yield from _labelled_folders(directory, where, classes)
    except OSError as error:
        raise DataProblem(
            f"{where}: {printable(str(error.filename or 'it'))} cannot be read "
            f"({error.strerror or error}); try again, or check its permissions."
        ) from error


def _labelled_folders(
    directory: Path, where: str, classes: tuple[str, ...]
) -> Iterator[int | LabelledImages]:
    root, role = evaluation_folder(directory, classes, where)
    lister = Lister(str(directory))
    names = class_folders(root, lister.tally)
    matched = match_names([printable(name) for name in names], classes)
    if role is None:
        others = [name for name in names if printable(name) not in matched]
        for split in find_splits(others):
            lister.tally.add("folders without class folders", str(root / split.name))
            names.remove(split.name)
    samples = yield from lister.list_classes(root, [(n, i) for i, n in enumerate(names)])
    for number in sorted({sample.label for sample in samples}):
        if (name := printable(names[number])) not in matched:
            twins = alike(name, map(printable, names))
            if twins and (known := alike(name, classes)):
                both = " and ".join(sorted((name, *twins)))
                raise DataProblem(
                    f"{where}: there are the folders {both}, but the run has only the class "
                    f"{' and '.join(known)}; merge those that are the same class."
                )
            raise DataProblem(_unknown_class(where, name, classes))
    if not samples:
        raise no_class_folders(where, root, lister.tally, "class folders with images")
    renamed = [Sample(path, matched[printable(names[label])]) for path, label in samples]
    renamed.sort(key=itemgetter(1))  # stable, so each class stays sorted by path
    part = "" if root == directory else os.path.relpath(root, directory)
    yield LabelledImages(
        tuple(renamed),
        printable(str(root)),
        part,
        role,
        lister.tally.items(),
        tuple(matched_sentences(matched, classes, f"{printable(root.name)}/")),
    )


def _labelled_rows(
    directory: Path, labels: Path, classes: tuple[str, ...], columns: str | None
) -> Iterator[int | LabelledImages]:
    where = f"--labels {printable(str(labels))}"
    known = {name: number for number, name in enumerate(classes)}
    for item in labelled_rows.read_rows(labels, directory, columns):
        if isinstance(item, LabelsFile):
            read = item
        else:
            yield item
    rows, split = labelled_rows.rows_to_evaluate(read)
    samples = []
    for row in rows:
        if row.label not in known:
            raise DataProblem(_unknown_class(where, row.label, classes))
        samples.append(Sample(row.path, known[row.label]))
    if not samples:
        raise DataProblem(f"{where}: the file names no images.")
    samples.sort(key=itemgetter(1, 0))
    mark = labelled_rows.mark_of(read, split)
    source = printable(str(labels)) + (f", rows marked {mark}" if split else "")
    left_out = (*labelled_rows.left_out_rows(read, split), *read.unused)
    yield LabelledImages(tuple(samples), source, split, left_out=left_out)


def _unknown_class(where: str, name: str, classes: tuple[str, ...]) -> str:
    """Return the message for a class that the model does not have, with a similar one."""
    similar = difflib.get_close_matches(name, classes, n=1)
    if not similar:
        similar = [known for known in classes if known.lower() == name.lower()]
    more = f" and {len(classes) - 5} more" if len(classes) > 5 else ""
    hint = (
        f"did you mean {similar[0]}?"
        if similar
        else f"its classes are {', '.join(classes[:5])}{more}."
    )
    return f"{where}: the run has no class {name}; {hint}"
