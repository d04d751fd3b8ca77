"""Image folders: what is there.

`DIR/train/<class>/` and `DIR/val/<class>/` (or valid, validation), or `DIR/<class>/` alone, of
which a fifth is kept for validation, stratified and seeded; or a labels file beside a folder. A
folder is listed a thousand names at a time, so that millions can be listed while keys are
answered. What is found does not depend on the order in which the file system lists it.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from engine.data import labels_file
from engine.data.decoding import image_endings
from engine.data.samples import DataProblem, ImageFolder, Sample, printable
from engine.data.splits import stratified

VALIDATION_NAMES = ("val", "valid", "validation")
"""A folder `test` is left for later: what is chosen by looking at it is no test any more."""
NAMES_A_UNIT = 1000


def open_folder(
    directory: Path, *, labels: Path | None = None, name: str | None = None, seed: int = 0
) -> ImageFolder:
    """List an image folder in one go; see `list_folder`.

    Raises:
        DataProblem: it cannot be trained on.
    """
    *_, folder = list_folder(directory, labels=labels, name=name, seed=seed)
    assert isinstance(folder, ImageFolder)
    return folder


def list_folder(
    directory: Path, *, labels: Path | None = None, name: str | None = None, seed: int = 0
) -> Iterator[int | ImageFolder]:
    """List an image folder, about a thousand names a unit.

    Args:
        directory: The folder.
        labels: A CSV file with the columns path and label, in place of class folders.
        name: What to call the data; the folder's name if None.
        seed: Of the split, where the folder has none of its own.

    Yields:
        How many images were found so far; at last the folder.

    Raises:
        DataProblem: missing, empty, a file, fewer than two classes, or a labels file that lies.
    """
    where = f"--data {printable(str(directory))}"
    if not os.path.exists(directory):
        raise DataProblem(
            f"{where}: there is no such folder; name one that holds a folder a class."
        )
    if not os.path.isdir(directory):
        raise DataProblem(f"{where} is a file; name the folder that holds a folder a class.")
    try:
        name = name or printable(directory.resolve().name)
        if labels is not None:
            yield from _from_labels(directory, labels, name, seed)
        else:
            yield from _from_folders(directory, where, name, seed)
    except PermissionError as error:
        raise DataProblem(
            f"{where}: {printable(str(error.filename))} may not be read; change its permissions."
        ) from error
    except OSError as error:
        raise DataProblem(
            f"{where}: {printable(str(error.filename or 'it'))} cannot be read "
            f"({error.strerror or error}); try again, or look at the disk."
        ) from error


def _from_folders(directory: Path, where: str, name: str, seed: int) -> Iterator[int | ImageFolder]:
    # A class may be called train: then there are no class folders in it, but others beside it.
    inside = _classes(directory / "train") if (directory / "train").is_dir() else []
    split = bool(inside) or _classes(directory) == ["train"]
    root = directory / "train" if split else directory
    classes = inside if split else _classes(root)
    if not classes:
        raise DataProblem(
            f"{where}: no class folders in {printable(root.name)}/; put the images of each class "
            "in a folder that bears its name, or name a --labels file."
        )
    counter = _Counter()
    train = yield from counter.listed(root, classes)
    filled = sorted({sample.label for sample in train})
    if not train:
        raise DataProblem(
            f"{where}: the class folders hold no images (jpg, png, webp, bmp, tif …)."
        )
    if len(filled) < 2:
        raise DataProblem(
            f"{where}: only one class with images ({printable(classes[filled[0]])}); "
            "a classifier needs at least two."
        )
    if len(filled) < len(classes):
        empty = next(name for index, name in enumerate(classes) if index not in filled)
        raise DataProblem(
            f"{where}: the class folder {printable(empty)}/ is empty; fill it or remove it."
        )
    beside = next((n for n in VALIDATION_NAMES if split and (directory / n).is_dir()), None)
    if beside is not None:
        strange = [one for one in _classes(directory / beside) if one not in classes]
        if strange:
            raise DataProblem(
                f"{where}: {beside}/ has the class {printable(strange[0])}, "
                "which train/ does not have."
            )
        val = yield from counter.listed(directory / beside, classes)
        if not val:
            raise DataProblem(
                f"{where}: {beside}/ holds no images; fill it, or remove it for a split."
            )
    else:
        train, val = stratified(train, seed)
        if not val:
            raise DataProblem(f"{where}: too few images to keep any for validation; add some.")
    yield ImageFolder(name, tuple(printable(one) for one in classes), tuple(train), tuple(val))


def _from_labels(
    directory: Path, labels: Path, name: str, seed: int
) -> Iterator[int | ImageFolder]:
    where = f"--labels {printable(str(labels))}"
    rows: list[labels_file.LabelRow] = []
    for row in labels_file.read_labels_file(labels, directory):
        rows.append(row)
        if len(rows) % NAMES_A_UNIT == 0:
            yield len(rows)
    yield len(rows)
    classes = tuple(sorted({row.label for row in rows}))
    if len(classes) < 2:
        found = f"only one class ({classes[0]})" if classes else "no images"
        raise DataProblem(f"{where}: {found}; a classifier needs at least two classes.")
    index = {label: number for number, label in enumerate(classes)}
    rows.sort(key=lambda row: (row.label, row.path))
    train = [Sample(row.path, index[row.label]) for row in rows if row.split != "val"]
    val = [Sample(row.path, index[row.label]) for row in rows if row.split == "val"]
    if not val:
        train, val = stratified(train, seed)
    missing = set(index.values()) - {sample.label for sample in train}
    if missing:
        raise DataProblem(
            f"{where}: no training image of the class {classes[min(missing)]}; add one."
        )
    if not val:
        raise DataProblem(f"{where}: too few images to keep any for validation; add some.")
    yield ImageFolder(name, classes, tuple(train), tuple(val))


# --- listing ------------------------------------------------------------------------------------


def _classes(root: Path) -> list[str]:
    """The class folders of a folder, in alphabetical order."""
    with os.scandir(root) as entries:
        return sorted(
            entry.name
            for entry in entries
            if not entry.name.startswith((".", "__"))
            and _is_folder(entry)
            and not _leads_up(entry, root)
        )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _leads_up(entry: os.DirEntry[str], root: Path) -> bool:
    """A link to the folder that it lies in, or to one above: no class, but all of them."""
    return entry.is_symlink() and root.resolve().is_relative_to(Path(entry.path).resolve())


class _Counter:
    """Lists images and counts them over several folders."""

    def __init__(self) -> None:
        self.found = 0
        self._looked_at = 0
        self._endings = image_endings()

    def listed(self, root: Path, classes: list[str]) -> Generator[int, None, list[Sample]]:
        """The samples of every class, in the order of their paths; yields counts on the way."""
        samples: list[Sample] = []
        for label, name in enumerate(classes):
            folder = os.path.join(root, name)
            mine: list[Sample] = []
            for path in self._names(folder):
                self._looked_at += 1
                if path is not None:
                    mine.append(Sample(path, label))
                    self.found += 1
                if self._looked_at % NAMES_A_UNIT == 0:
                    yield self.found
            mine.sort(key=itemgetter(0))
            samples += mine
        yield self.found
        return samples

    def _names(self, folder: str) -> Iterator[str | None]:
        """Every name below a folder: the path if it is an image's, else None.

        Links are followed, and each folder is listed once: no link can lead round in a circle.
        """
        waiting, seen = [folder], set()
        while waiting:
            current = waiting.pop()
            try:
                status = os.stat(current)
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                within = []
                with os.scandir(current) as entries:
                    for entry in entries:
                        hidden = entry.name.startswith(".")
                        if not hidden and _is_folder(entry):
                            within.append(entry.path)
                            yield None
                        elif hidden or not self._is_image(entry.name):
                            yield None
                        else:
                            yield entry.path
                # In alphabetical order: of two links to a folder always the same one counts.
                waiting += sorted(within, reverse=True)
            except FileNotFoundError:
                continue  # it went away while it was being listed

    def _is_image(self, name: str) -> bool:
        return os.path.splitext(name)[1].lower() in self._endings


# --- for a model that is done -------------------------------------------------------------------


def images_below(folder: str) -> Iterator[str | None]:
    """Every name below a folder, in subfolders too: the path if it is an image's, else None.

    Raises:
        DataProblem: the folder, or one in it, cannot be read.
    """
    try:
        yield from _Counter()._names(folder)
    except OSError as error:
        where = printable(str(error.filename or folder))
        raise DataProblem(f"{where} cannot be read ({error.strerror or error}).") from error


@dataclass(frozen=True)
class LabelledImages:
    """Images to hold a model against."""

    samples: tuple[Sample, ...]
    """By class, then by path; labels are of the model's classes."""
    where: str
    """Which they are, in words, such as `flowers/val`."""
    part: str = ""
    """The folder in the one that was given, such as `val`; empty if it was taken whole."""


def list_labelled(
    directory: Path, classes: tuple[str, ...], *, labels: Path | None = None
) -> Iterator[int | LabelledImages]:
    """List images of classes that a model knows, by their names, about a thousand names a unit.

    A folder `val` (valid, validation) in the directory is taken, else a folder `test`, else the
    class folders in it; of a labels file its rows of split val, else all. Classes may be missing.

    Args:
        directory: The folder.
        classes: The model's, in its order.
        labels: A CSV file with the columns path and label, in place of class folders.

    Yields:
        How many images were found so far; at last all of them.

    Raises:
        DataProblem: there is no image, or one of a class that the model does not know.
    """
    where = f"--data {printable(str(directory))}"
    if not directory.is_dir():
        wrong = "is a file" if directory.exists() else "there is no such folder"
        raise DataProblem(f"{where}: {wrong}; name one that holds a folder a class.")
    if labels is not None:
        yield from _rows(directory, labels, classes)
        return
    try:
        yield from _class_folders(directory, where, classes)
    except OSError as error:
        raise DataProblem(
            f"{where}: {printable(str(error.filename or 'it'))} cannot be read "
            f"({error.strerror or error}); try again, or look at its permissions."
        ) from error


def _class_folders(
    directory: Path, where: str, classes: tuple[str, ...]
) -> Iterator[int | LabelledImages]:
    there = [name for name in _classes(directory) if printable(name) not in classes]
    part = next((name for name in (*VALIDATION_NAMES, "test") if name in there), "")
    if not part and "train" in there:
        raise DataProblem(
            f"{where} has training images and no val/ or test/; to look at those images, name "
            f"--data {printable(str(directory / 'train'))}."
        )
    root = directory / part
    names = _classes(root)
    counter = _Counter()
    samples = yield from counter.listed(root, names)
    filled = {sample.label for sample in samples}
    known = {name: number for number, name in enumerate(classes)}
    for number in sorted(filled):
        if printable(names[number]) not in known:
            raise DataProblem(_unknown(where, printable(names[number]), classes))
    if not samples:
        raise DataProblem(
            f"{where}: no class folders with images in {printable(root.name)}/; put the images of "
            "each class in a folder that bears its name, or name a --labels file."
        )
    renamed = [Sample(path, known[printable(names[label])]) for path, label in samples]
    renamed.sort(key=itemgetter(1))  # within a class they are in order already
    yield LabelledImages(tuple(renamed), printable(str(root)), part)


def _rows(
    directory: Path, labels: Path, classes: tuple[str, ...]
) -> Iterator[int | LabelledImages]:
    where = f"--labels {printable(str(labels))}"
    known = {name: number for number, name in enumerate(classes)}
    rows: list[labels_file.LabelRow] = []
    for row in labels_file.read_labels_file(labels, directory):
        rows.append(row)
        if len(rows) % NAMES_A_UNIT == 0:
            yield len(rows)
    kept = [row for row in rows if row.split == "val"]
    words = printable(str(labels))
    if kept:
        words += ", rows of split val"
    samples = []
    for row in kept or rows:
        if row.label not in known:
            raise DataProblem(_unknown(where, row.label, classes))
        samples.append(Sample(row.path, known[row.label]))
    if not samples:
        raise DataProblem(f"{where}: it names no images.")
    samples.sort(key=itemgetter(1, 0))
    yield LabelledImages(tuple(samples), words, "val" if kept else "")


def _unknown(where: str, name: str, classes: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, classes, n=1)
    if not near:
        near = [one for one in classes if one.lower() == name.lower()]
    more = f" and {len(classes) - 5} more" if len(classes) > 5 else ""
    hint = f"did you mean {near[0]}?" if near else f"it knows {', '.join(classes[:5])}{more}."
    return f"{where}: the run knows no class {name}; {hint}"
