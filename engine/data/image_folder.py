"""Image folders: what is there, which images are for validation, and splits into folds.

`DIR/train/<class>/` and `DIR/val/<class>/` (or valid, validation), or `DIR/<class>/` alone, of
which a fifth is kept for validation, stratified and seeded; or a labels file beside a folder. A
folder is listed a thousand names at a time, so that millions can be listed while keys are
answered. What is found does not depend on the order in which the file system lists it.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ..problem import Problem
from . import labels_file

VALIDATION_SHARE = 0.2
VALIDATION_NAMES = ("val", "valid", "validation")
"""A folder `test` is left for later: what is chosen by looking at it is no test any more."""
YARDSTICK = 64
"""Images of the yardstick, at most."""
NAMES_A_UNIT = 1000


class DataProblem(Problem):
    """The folder cannot be trained on; the text says why and what to do."""


class Sample(NamedTuple):
    path: str
    """As the file system has it; a name that is not UTF-8 has surrogates in it (PEP 383)."""
    label: int


@dataclass(frozen=True)
class ImageFolder:
    """What was found: classes in alphabetical order, samples in the order of their paths."""

    name: str
    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]


def printable(path: str) -> str:
    """A path or name that any encoder takes: bytes that are not UTF-8 as `\\xff`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


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
    if not directory.exists():
        raise DataProblem(
            f"{where}: there is no such folder; name one that holds a folder a class."
        )
    if not directory.is_dir():
        raise DataProblem(f"{where} is a file; name the folder that holds a folder a class.")
    name = name or printable(directory.resolve().name)
    try:
        if labels is not None:
            yield from _from_labels(directory, labels, name, seed)
        else:
            yield from _from_folders(directory, where, name, seed)
    except PermissionError as error:
        raise DataProblem(
            f"{where}: {printable(str(error.filename))} may not be read; change its permissions."
        ) from error


def _from_folders(directory: Path, where: str, name: str, seed: int) -> Iterator[int | ImageFolder]:
    split = (directory / "train").is_dir()
    root = directory / "train" if split else directory
    classes = _classes(root)
    if not classes:
        raise DataProblem(
            f"{where}: no class folders in {printable(root.name)}/; put the images of each class "
            "in a folder that bears its name."
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
        train, val = _stratified(train, seed)
        if not val:
            raise DataProblem(f"{where}: too few images to keep any for validation; add some.")
    yield ImageFolder(name, tuple(printable(one) for one in classes), tuple(train), tuple(val))


def _from_labels(
    directory: Path, labels: Path, name: str, seed: int
) -> Iterator[int | ImageFolder]:
    where = f"--labels {printable(str(labels))}"
    rows: list[labels_file.Row] = []
    for row in labels_file.read(labels, directory):
        rows.append(row)
        if len(rows) % NAMES_A_UNIT == 0:
            yield len(rows)
    classes = tuple(sorted({row.label for row in rows}))
    if len(classes) < 2:
        found = f"only one class ({classes[0]})" if classes else "no images"
        raise DataProblem(f"{where}: {found}; a classifier needs at least two classes.")
    index = {label: number for number, label in enumerate(classes)}
    rows.sort()
    train = [Sample(row.path, index[row.label]) for row in rows if row.split != "val"]
    val = [Sample(row.path, index[row.label]) for row in rows if row.split == "val"]
    if not val:
        train, val = _stratified(train, seed)
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
            if not entry.name.startswith((".", "__")) and entry.is_dir()
        )


class _Counter:
    """Lists images and counts them over several folders."""

    def __init__(self) -> None:
        self.found = 0
        self._endings = frozenset(Image.registered_extensions())

    def listed(self, root: Path, classes: list[str]) -> Generator[int, None, list[Sample]]:
        """The samples of every class, in the order of their paths; yields counts on the way."""
        samples: list[Sample] = []
        for label, name in enumerate(classes):
            before = len(samples)
            for path in self._images(os.path.join(root, name)):
                samples.append(Sample(path, label))
                self.found += 1
                if self.found % NAMES_A_UNIT == 0:
                    yield self.found
            samples[before:] = sorted(samples[before:])
        yield self.found
        return samples

    def _images(self, folder: str) -> Iterator[str]:
        """Paths of the images below a folder; links are followed, each folder once."""
        waiting, seen = [folder], set()
        while waiting:
            current = waiting.pop()
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in seen:
                continue  # a link that leads back
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        waiting.append(entry.path)
                    elif os.path.splitext(entry.name)[1].lower() in self._endings:
                        yield entry.path


# --- splits -------------------------------------------------------------------------------------


def _by_label(samples: Iterable[Sample]) -> dict[int, list[Sample]]:
    groups: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.label].append(sample)
    return dict(sorted(groups.items()))


def _stratified(samples: list[Sample], seed: int) -> tuple[list[Sample], list[Sample]]:
    """A fifth of every class for validation; of a class with one image none."""
    train: list[Sample] = []
    val: list[Sample] = []
    for label, mine in _by_label(samples).items():
        random.Random(f"{seed} {label}").shuffle(mine)
        count = max(1, round(len(mine) * VALIDATION_SHARE)) if len(mine) > 1 else 0
        val += mine[:count]
        train += mine[count:]
    return train, val


def folds(folder: ImageFolder, count: int, seed: int) -> list[ImageFolder]:
    """Splits for cross-validation over all images: each is validated exactly once.

    Args:
        folder: Its training and validation images together are split anew, stratified.
        count: The number of folds.
        seed: Of the split.

    Raises:
        DataProblem: fewer than two folds, or more than the smallest class has images.
    """
    groups = _by_label(sorted({*folder.train, *folder.val}))
    fewest = min(groups, key=lambda label: len(groups[label]))
    most = len(groups[fewest])
    if count < 2:
        raise DataProblem(f"--folds {count}: the least is 2.")
    if count > most:
        raise DataProblem(
            f"--folds {count}: the class {folder.classes[fewest]} has only {most} images; "
            f"use at most {most} folds, or add images."
        )
    parts: list[list[Sample]] = [[] for _ in range(count)]
    first = 0
    for label, mine in groups.items():
        random.Random(f"{seed} fold {label}").shuffle(mine)
        for number, sample in enumerate(mine):
            parts[(first + number) % count].append(sample)
        first += len(mine)  # what is left over goes to other folds than the class before's
    return [
        ImageFolder(
            folder.name,
            folder.classes,
            tuple(sorted(s for other, p in enumerate(parts) if other != number for s in p)),
            tuple(sorted(part)),
        )
        for number, part in enumerate(parts)
    ]


def yardstick_of(folder: ImageFolder, seed: int) -> tuple[Sample, ...]:
    """Up to 64 fixed validation images, the classes in the proportion that val/ has them."""
    if len(folder.val) <= YARDSTICK:
        return folder.val
    chosen = list(folder.val)
    random.Random(f"{seed} yardstick").shuffle(chosen)
    share = YARDSTICK / len(folder.val)
    picked: list[Sample] = []
    if len(folder.classes) <= YARDSTICK // 2:
        for mine in _by_label(chosen).values():
            picked += mine[: max(1, round(len(mine) * share))]
    else:
        picked = chosen  # more classes than it could hold: any images
    return tuple(sorted(picked[:YARDSTICK]))
