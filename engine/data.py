"""Image folders: listing, the split, decoding, and batches in an order the seed decides.

`DIR/train/<class>/` and `DIR/val/<class>/`, or `DIR/<class>/` alone, which is split 80/20,
stratified and seeded. Images are decoded by a pool of threads, without loader processes: no fork
after CUDA, no limit of /dev/shm, no orphans.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from torch import Tensor

from .problem import Problem

Transform = Callable[[Image.Image], Tensor]
"""An RGB image to a normalised tensor [3, size, size]."""

VALIDATION_SHARE = 0.2
YARDSTICK = 64
"""Images of the yardstick, at most."""


class DataProblem(Problem):
    """The folder cannot be trained on; the text says why and what to do."""


@dataclass(frozen=True)
class Sample:
    path: Path
    label: int


@dataclass(frozen=True)
class ImageFolder:
    """What was found: classes in alphabetical order, samples in the order of their paths."""

    name: str
    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]


def open_folder(directory: Path, *, name: str | None = None, seed: int = 0) -> ImageFolder:
    """List an image folder.

    Args:
        directory: The folder.
        name: What to call the data; the folder's name if None.
        seed: Of the split, where the folder has none of its own.

    Raises:
        DataProblem: missing, empty, a file, or fewer than two classes.
    """
    where = f"--data {directory}"
    if not directory.exists():
        raise DataProblem(
            f"{where}: there is no such folder; name one that holds a folder a class."
        )
    if not directory.is_dir():
        raise DataProblem(f"{where} is a file; name the folder that holds a folder a class.")
    split = (directory / "train").is_dir()
    root = directory / "train" if split else directory
    classes = tuple(sorted(child.name for child in root.iterdir() if _is_class(child)))
    if not classes:
        raise DataProblem(
            f"{where}: no class folders in {root.name}/; put the images of each class "
            "in a folder that bears its name."
        )
    train = _list(root, classes)
    if not train:
        raise DataProblem(
            f"{where}: the class folders hold no images (jpg, png, webp, bmp, tif …)."
        )
    filled = sorted({sample.label for sample in train})
    if len(filled) < 2:
        raise DataProblem(
            f"{where}: only one class with images ({classes[filled[0]]}); "
            "a classifier needs at least two."
        )
    if len(filled) < len(classes):
        empty = next(name for index, name in enumerate(classes) if index not in filled)
        raise DataProblem(f"{where}: the class folder {empty}/ is empty; fill it or remove it.")
    if split and (directory / "val").is_dir():
        _check_val_classes(where, directory / "val", classes)
        val = _list(directory / "val", classes)
        if not val:
            raise DataProblem(f"{where}: val/ holds no images; fill it, or remove it for a split.")
    else:
        train, val = _stratified(train, seed)
        if not val:
            raise DataProblem(f"{where}: too few images to keep any for validation; add some.")
    return ImageFolder(name or directory.resolve().name, classes, tuple(train), tuple(val))


def _is_class(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith((".", "__"))


def _check_val_classes(where: str, root: Path, classes: tuple[str, ...]) -> None:
    unknown = sorted(child.name for child in root.iterdir() if _is_class(child))
    strange = [name for name in unknown if name not in classes]
    if strange:
        raise DataProblem(f"{where}: val/ has the class {strange[0]}, which train/ does not have.")


def _list(root: Path, classes: tuple[str, ...]) -> list[Sample]:
    endings = Image.registered_extensions()
    return [
        Sample(path, label)
        for label, name in enumerate(classes)
        for path in sorted((root / name).rglob("*"))
        if path.suffix.lower() in endings and not path.name.startswith(".")
    ]


def _stratified(samples: list[Sample], seed: int) -> tuple[list[Sample], list[Sample]]:
    train: list[Sample] = []
    val: list[Sample] = []
    for label in sorted({sample.label for sample in samples}):
        mine = [sample for sample in samples if sample.label == label]
        random.Random(f"{seed} {label}").shuffle(mine)
        count = round(len(mine) * VALIDATION_SHARE) if len(mine) > 1 else 0
        count = max(count, 1) if len(mine) > 1 else 0
        val += mine[:count]
        train += mine[count:]
    return train, val


def folds(folder: ImageFolder, count: int, seed: int) -> list[ImageFolder]:
    raise NotImplementedError


def yardstick_of(folder: ImageFolder, seed: int) -> tuple[Sample, ...]:
    """Up to 64 fixed validation images, the classes in the proportion that val/ has them."""
    if len(folder.val) <= YARDSTICK:
        return folder.val
    chosen = list(folder.val)
    random.Random(f"{seed} yardstick").shuffle(chosen)
    share = YARDSTICK / len(folder.val)
    picked: list[Sample] = []
    for label in range(len(folder.classes)):
        mine = [sample for sample in chosen if sample.label == label]
        picked += mine[: max(1, round(len(mine) * share))]
    return tuple(sorted(picked[:YARDSTICK], key=lambda sample: sample.path))


# --- decoding -----------------------------------------------------------------------------------


class UnreadableImage(Exception):
    """An image cannot be decoded; the text says why."""


def read_rgb(path: Path) -> Image.Image:
    """The image as 8-bit RGB, upright, first frame.

    16-bit images are scaled by their mode's range: Pillow's own conversion would clip them white.

    Raises:
        UnreadableImage: missing, truncated, or no image.
    """
    try:
        with Image.open(path) as image:
            image.seek(0)
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):
                return Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8)).convert("RGB")
            if upright.mode in ("I", "F"):
                return _scaled(np.asarray(upright)).convert("RGB")
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                upright = upright.convert("RGBA")
                white = Image.new("RGBA", upright.size, "white")
                return Image.alpha_composite(white, upright).convert("RGB")
            return upright.convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, EOFError) as error:
        raise UnreadableImage(str(error) or type(error).__name__) from error
    except Image.DecompressionBombError as error:
        raise UnreadableImage("it is larger than Pillow agrees to open") from error


def _scaled(values: np.ndarray) -> Image.Image:
    """A 32-bit image: 0 to 1 if it is a float within that, else 0 to 65,535."""
    top = 1.0 if values.dtype.kind == "f" and values.max(initial=0) <= 1.0 else 65535.0
    return Image.fromarray((values.clip(0, top) / top * 255).astype(np.uint8))


ImageFile.LOAD_TRUNCATED_IMAGES = False  # half an image is not an image


# --- batches ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    images: Tensor
    """[N, 3, size, size], normalised, on the host."""
    labels: Tensor
    """[N], int64."""
    epoch: int
    """Counted from 1."""
    skipped: tuple[tuple[Path, str], ...] = ()
    """Images that could not be read, with the reason."""
    samples: tuple[Sample, ...] = ()
    """What the images are of, in their order."""


class Decoder:
    """Decodes images in a pool of threads, and the coming batch while a step runs."""

    def __init__(self, transform: Transform, threads: int = 4) -> None:
        self.transform = transform
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def submit(self, samples: tuple[Sample, ...]) -> list[Future[Tensor]]:
        return [self._pool.submit(self._decode, sample.path) for sample in samples]

    def _decode(self, path: Path) -> Tensor:
        return self.transform(read_rgb(path))

    def collect(
        self, samples: tuple[Sample, ...], futures: list[Future[Tensor]], epoch: int
    ) -> Batch:
        """The batch, without the images that cannot be read; it may be empty."""
        images: list[Tensor] = []
        labels: list[int] = []
        skipped: list[tuple[Path, str]] = []
        read: list[Sample] = []
        for sample, future in zip(samples, futures, strict=True):
            try:
                images.append(future.result())
                labels.append(sample.label)
                read.append(sample)
            except UnreadableImage as error:
                skipped.append((sample.path, str(error)))
        stacked = torch.stack(images) if images else torch.empty(0, 3, 0, 0)
        return Batch(
            stacked, torch.tensor(labels, dtype=torch.int64), epoch, tuple(skipped), tuple(read)
        )

    def batches(self, samples: tuple[Sample, ...], batch_size: int) -> Iterator[Batch]:
        """All samples in their order, without anything random."""
        for first in range(0, len(samples), batch_size):
            part = samples[first : first + batch_size]
            yield self.collect(part, self.submit(part), epoch=0)


class TrainBatches:
    """The training batches: a cursor that can be read and put back.

    The order of epoch e is a function of (seed, e) alone, whatever ran before and however many
    threads decode. A last batch of one is merged into the one before: BatchNorm cannot normalise
    over a single small image.
    """

    def __init__(
        self, samples: tuple[Sample, ...], batch_size: int, seed: int, decoder: Decoder
    ) -> None:
        self.samples = samples
        self.batch_size = batch_size
        self.seed = seed
        self.decoder = decoder
        self.position = 0
        """How many batches were taken since the session's start."""
        count, rest = divmod(len(samples), batch_size)
        self.batches_per_epoch = max(1, count + (1 if rest > 1 else 0))
        self._ahead: dict[int, tuple[tuple[Sample, ...], list[Future[Tensor]]]] = {}
        self._order: tuple[int, list[int]] = (-1, [])

    def samples_at(self, position: int) -> tuple[Sample, ...]:
        """The samples of a batch, by its position since the session's start."""
        epoch, index = divmod(position, self.batches_per_epoch)
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(_mixed(self.seed, epoch))
            order = torch.randperm(len(self.samples), generator=generator).tolist()
            self._order = (epoch, order)
        first = index * self.batch_size
        end = len(self.samples) if index == self.batches_per_epoch - 1 else first + self.batch_size
        return tuple(self.samples[i] for i in self._order[1][first:end])

    def peek(self) -> Batch:
        """The coming batch; the cursor stays.

        Raises:
            DataProblem: not one of its images can be read.
        """
        samples, futures = self._start(self.position)
        epoch = self.position // self.batches_per_epoch + 1
        batch = self.decoder.collect(samples, futures, epoch)
        if not len(batch.labels):
            path, reason = batch.skipped[0]
            raise DataProblem(
                f"none of {len(samples)} images in a row can be read, such as {path}: {reason}"
            )
        return batch

    def take(self) -> Batch:
        """The coming batch; the cursor moves on, and the batch after it begins to be decoded."""
        batch = self.peek()
        self._ahead.pop(self.position)
        self.position += 1
        self._start(self.position)
        return batch

    def configure(self, *, augmentation: str, balance: bool) -> None:
        """Change how batches are made from here on."""

    def put_back(self, position: int) -> None:
        """Set the cursor to where it was."""
        self.position = position
        self._ahead = {key: value for key, value in self._ahead.items() if key == position}

    def _start(self, position: int) -> tuple[tuple[Sample, ...], list[Future[Tensor]]]:
        if position not in self._ahead:
            samples = self.samples_at(position)
            self._ahead[position] = (samples, self.decoder.submit(samples))
        return self._ahead[position]


def _mixed(seed: int, epoch: int) -> int:
    """One seed from two numbers, so that neighbouring seeds do not share epochs."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0] >> 1)
