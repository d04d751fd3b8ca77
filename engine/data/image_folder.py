"""List the images of a dataset folder.

The supported layouts are `DIR/train/<class>/` with `DIR/val/<class>/` (or valid, validation);
`DIR/<class>/` alone, of which a fifth of the images is used for validation; and a folder with a
labels file.

Listing yields after every thousand names, so that the engine can answer commands while it lists
millions of files. The result does not depend on the order in which the file system lists them.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from engine.data import labelled_rows
from engine.data.decoding import image_endings
from engine.data.labels_file import LabelsFile
from engine.data.samples import DataProblem, ImageFolder, Sample, printable
from engine.data.splits import stratified
from tl_tui.protocol.dataset import LeftOut

VALIDATION_NAMES = ("val", "valid", "validation")
"""The names of a validation folder. A folder `test` is not used: test images must not guide
training."""
NAMES_PER_YIELD = 1000
"""The number of names to list between two yields."""


def open_folder(
    directory: Path,
    *,
    labels: Path | None = None,
    columns: str | None = None,
    name: str | None = None,
    seed: int = 0,
) -> ImageFolder:
    """List an image folder without yielding in between; see `list_folder`.

    Raises:
        DataProblem: The folder cannot be used for training.
    """
    *_, folder = list_folder(directory, labels=labels, columns=columns, name=name, seed=seed)
    assert isinstance(folder, ImageFolder)
    return folder


def list_folder(
    directory: Path,
    *,
    labels: Path | None = None,
    columns: str | None = None,
    name: str | None = None,
    seed: int = 0,
) -> Iterator[int | ImageFolder]:
    """List an image folder.

    Args:
        directory: The folder.
        labels: A CSV file with a path and a label in each row, used instead of class folders.
        columns: Which column of it is what; see `parse_columns`.
        name: Name of the dataset; the name of the folder if None.
        seed: Random seed for the split, if the folder has no validation images of its own.

    Yields:
        The number of images found so far, about once per thousand names; finally the dataset.

    Raises:
        DataProblem: The folder is missing, is a file, is empty or has fewer than two classes.
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
            yield from labelled_rows.labelled_dataset(directory, labels, name, seed, columns)
        else:
            yield from _from_folders(directory, where, name, seed)
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


def _from_folders(directory: Path, where: str, name: str, seed: int) -> Iterator[int | ImageFolder]:
    # A class may itself be called train. Its folder then has no class folders in it.
    train_classes = _classes(directory / "train") if (directory / "train").is_dir() else []
    split = bool(train_classes) or _classes(directory) == ["train"]
    root = directory / "train" if split else directory
    classes = train_classes if split else _classes(root)
    if not classes:
        raise DataProblem(
            f"{where}: there are no class folders in {printable(root.name)}/; put the images of "
            "each class in a folder named after it, or pass a --labels file."
        )
    lister = _Lister()
    train = yield from lister.list_classes(root, classes)
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
    val_name = next((n for n in VALIDATION_NAMES if split and (directory / n).is_dir()), None)
    if val_name is not None:
        unknown = [other for other in _classes(directory / val_name) if other not in classes]
        if unknown:
            raise DataProblem(
                f"{where}: {val_name}/ has the class {printable(unknown[0])}, "
                "which train/ does not have."
            )
        val = yield from lister.list_classes(directory / val_name, classes)
        if not val:
            raise DataProblem(
                f"{where}: {val_name}/ holds no images; add some, or remove the folder to use a "
                "fifth of train/ for validation."
            )
    else:
        train, val = stratified(train, seed)
        if not val:
            raise DataProblem(f"{where}: too few images to keep any for validation; add some.")
    names = tuple(printable(class_name) for class_name in classes)
    yield ImageFolder(name, names, tuple(train), tuple(val))


# --- listing ------------------------------------------------------------------------------------


def _classes(root: Path) -> list[str]:
    """Return the names of the class folders in a folder, in alphabetical order."""
    with os.scandir(root) as entries:
        return sorted(
            entry.name
            for entry in entries
            if not entry.name.startswith((".", "__"))
            and _is_folder(entry)
            and not _links_upwards(entry, root)
        )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a symbolic link to itself
        return False


def _links_upwards(entry: os.DirEntry[str], root: Path) -> bool:
    """Return whether an entry links to its own folder or to one above, and so to all classes."""
    return entry.is_symlink() and root.resolve().is_relative_to(Path(entry.path).resolve())


class _Lister:
    """Lists images and counts them over several folders."""

    def __init__(self) -> None:
        self.images = 0
        """The number of images found so far."""
        self._names_seen = 0
        self._endings = image_endings()

    def list_classes(self, root: Path, classes: list[str]) -> Generator[int, None, list[Sample]]:
        """List the class folders in a folder.

        Yields:
            The number of images found so far.

        Returns:
            The samples by class, then by path.
        """
        samples: list[Sample] = []
        for label, name in enumerate(classes):
            class_samples: list[Sample] = []
            for path in self.walk(os.path.join(root, name)):
                self._names_seen += 1
                if path is not None:
                    class_samples.append(Sample(path, label))
                    self.images += 1
                if self._names_seen % NAMES_PER_YIELD == 0:
                    yield self.images
            class_samples.sort(key=itemgetter(0))
            samples += class_samples
        yield self.images
        return samples

    def walk(self, folder: str) -> Iterator[str | None]:
        """Yield the path of each image below a folder, and None for any other name.

        Symbolic links are followed, but each folder is listed once, so a circle of links ends.
        """
        pending, seen = [folder], set()
        while pending:
            current = pending.pop()
            try:
                status = os.stat(current)
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                subfolders = []
                with os.scandir(current) as entries:
                    for entry in entries:
                        hidden = entry.name.startswith(".")
                        if not hidden and _is_folder(entry):
                            subfolders.append(entry.path)
                            yield None
                        elif hidden or not self._is_image(entry.name):
                            yield None
                        else:
                            yield entry.path
                # Sorted, so that of two links to a folder the same one is always followed.
                pending += sorted(subfolders, reverse=True)
            except FileNotFoundError:
                continue  # the folder was removed while it was being listed

    def _is_image(self, name: str) -> bool:
        return os.path.splitext(name)[1].lower() in self._endings


# --- images for a trained model -----------------------------------------------------------------


def images_below(folder: str) -> Iterator[str | None]:
    """Yield the path of each image below a folder, at any depth, and None for any other name.

    Raises:
        DataProblem: The folder, or one below it, cannot be read.
    """
    try:
        yield from _Lister().walk(folder)
    except OSError as error:
        where = printable(str(error.filename or folder))
        raise DataProblem(f"{where} cannot be read ({error.strerror or error}).") from error


@dataclass(frozen=True)
class LabelledImages:
    """Labelled images to evaluate a model on."""

    samples: tuple[Sample, ...]
    """The samples by class, then by path; labels are indices of the model's classes."""
    source: str
    """A description of where the images come from, such as `flowers/val`."""
    part: str = ""
    """The subfolder that was used, such as `val`; empty if the whole folder was used."""
    left_out: tuple[LeftOut, ...] = ()
    """What is not used, by kind."""


def list_labelled(
    directory: Path,
    classes: tuple[str, ...],
    *,
    labels: Path | None = None,
    columns: str | None = None,
) -> Iterator[int | LabelledImages]:
    """List labelled images for a trained model; classes are matched by name.

    The folder `val` (valid, validation) in the directory is used if it exists, else `test`, else
    the class folders in the directory itself. Of a labels file, the rows marked test are used,
    else those marked val, else all rows. Not every class of the model needs images.

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
    others = [name for name in _classes(directory) if printable(name) not in classes]
    part = next((name for name in (*VALIDATION_NAMES, "test") if name in others), "")
    if not part and "train" in others:
        raise DataProblem(
            f"{where} has training images, but no val/ or test/; to use the training images, pass "
            f"--data {printable(str(directory / 'train'))}."
        )
    root = directory / part
    names = _classes(root)
    samples = yield from _Lister().list_classes(root, names)
    filled = {sample.label for sample in samples}
    known = {name: number for number, name in enumerate(classes)}
    for number in sorted(filled):
        if printable(names[number]) not in known:
            raise DataProblem(_unknown_class(where, printable(names[number]), classes))
    if not samples:
        raise DataProblem(
            f"{where}: there are no class folders with images in {printable(root.name)}/; put the "
            "images of each class in a folder named after it, or pass a --labels file."
        )
    renamed = [Sample(path, known[printable(names[label])]) for path, label in samples]
    renamed.sort(key=itemgetter(1))  # stable, so each class stays sorted by path
    yield LabelledImages(tuple(renamed), printable(str(root)), part)


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
    source = printable(str(labels)) + (f", rows marked {split}" if split else "")
    yield LabelledImages(tuple(samples), source, split, read.unused)


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
