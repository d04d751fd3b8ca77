"""Batches: decoded by a pool of threads, in an order that the seed decides.

Without loader processes: no fork after CUDA, no limit of /dev/shm, no orphans.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .augmentation import Augmentation, mixed
from .decoding import Transform, UnreadableImage, read_rgb
from .image_folder import DataProblem, Sample, printable


@dataclass(frozen=True)
class Batch:
    images: Tensor
    """[N, 3, size, size], normalised, on the host."""
    labels: Tensor
    """[N], int64."""
    epoch: int
    """Counted from 1."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Images that could not be read, by path, with the reason."""
    samples: tuple[Sample, ...] = ()
    """What the images are of, in their order."""


class Decoder:
    """Decodes images in a pool of threads, and the coming batch while a step runs."""

    def __init__(self, transform: Transform, threads: int = 4) -> None:
        self.transform = transform
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def submit(
        self, samples: Sequence[Sample], transforms: Sequence[Transform] | None = None
    ) -> list[Future[Tensor]]:
        """Begin to decode.

        Args:
            samples: The images.
            transforms: What to make of each; the weights' own transform if None.
        """
        each = transforms or [self.transform] * len(samples)
        return [
            self._pool.submit(self._decode, sample.path, transform)
            for sample, transform in zip(samples, each, strict=True)
        ]

    @staticmethod
    def _decode(path: str, transform: Transform) -> Tensor:
        image = read_rgb(path)
        try:
            return transform(image)
        except (ValueError, RuntimeError, OSError, MemoryError) as error:
            raise UnreadableImage(f"it cannot be resized ({error})") from error

    def collect(
        self, samples: Sequence[Sample], futures: list[Future[Tensor]], epoch: int
    ) -> Batch:
        """The batch, without the images that cannot be read; it may be empty."""
        images: list[Tensor] = []
        read: list[Sample] = []
        skipped: list[tuple[str, str]] = []
        for sample, future in zip(samples, futures, strict=True):
            try:
                images.append(future.result())
                read.append(sample)
            except UnreadableImage as error:
                skipped.append((sample.path, printable(str(error))))
        return Batch(
            torch.stack(images) if images else torch.empty(0, 3, 0, 0),
            torch.tensor([sample.label for sample in read], dtype=torch.int64),
            epoch,
            tuple(skipped),
            tuple(read),
        )

    def batches(self, samples: Sequence[Sample], batch_size: int) -> Iterator[Batch]:
        """All samples in their order, without anything random."""
        ahead: tuple[Sequence[Sample], list[Future[Tensor]]] | None = None
        for first in range(0, len(samples), batch_size):
            part = samples[first : first + batch_size]
            coming = (part, self.submit(part))
            if ahead is not None:
                yield self.collect(*ahead, epoch=0)
            ahead = coming
        if ahead is not None:
            yield self.collect(*ahead, epoch=0)


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
        self._augmentation: Augmentation | None = None
        self._balance = False
        self._labels: dict[int, list[int]] | None = None
        self._ahead: dict[int, tuple[tuple[Sample, ...], list[Future[Tensor]]]] = {}
        self._order: tuple[int, list[int]] = (-1, [])

    def configure(self, *, augmentation: str, balance: bool) -> None:
        """Change how batches are made, from the coming one on.

        Args:
            augmentation: none, light or standard.
            balance: Draw every class equally often.
        """
        self._augmentation = None
        if augmentation != "none":
            preset: Any = self.decoder.transform
            self._augmentation = Augmentation(augmentation, preset, self.seed)  # type: ignore[arg-type]
        self._balance = balance
        self._ahead.clear()
        self._order = (-1, [])

    # --- the order ------------------------------------------------------------------------------

    def samples_at(self, position: int) -> tuple[Sample, ...]:
        """The samples of a batch, by its position since the session's start."""
        return tuple(self.samples[index] for index, _ in self._drawn_at(position))

    def _drawn_at(self, position: int) -> list[tuple[int, int]]:
        """(index of the sample, how many times it came in this epoch before) of a batch."""
        epoch, number = divmod(position, self.batches_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, self._order_of(epoch))
        order = self._order[1]
        first = number * self.batch_size
        last = number == self.batches_per_epoch - 1
        drawn = order[first:] if last else order[first : first + self.batch_size]
        if not self._balance:
            return [(index, 0) for index in drawn]
        before: dict[int, int] = {}
        for index in order[:first]:
            before[index] = before.get(index, 0) + 1
        found = []
        for index in drawn:
            found.append((index, before.get(index, 0)))
            before[index] = before.get(index, 0) + 1
        return found

    def _order_of(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(mixed(self.seed, epoch))
        if self._balance:
            return self._balanced(generator)
        return torch.randperm(len(self.samples), generator=generator).tolist()

    def _balanced(self, generator: torch.Generator) -> list[int]:
        """As many draws as there are images, every class as often as any other.

        Within a class no image comes again before all of it have come as often.
        """
        if self._labels is None:
            self._labels = {}
            for index, sample in enumerate(self.samples):
                self._labels.setdefault(sample.label, []).append(index)
        total, classes = len(self.samples), sorted(self._labels)
        # What does not divide evenly goes to other classes every epoch.
        extra = torch.randperm(len(classes), generator=generator)[: total % len(classes)].tolist()
        drawn: list[int] = []
        for place, label in enumerate(classes):
            mine, wanted = self._labels[label], total // len(classes) + (place in extra)
            while wanted > 0:
                order = torch.randperm(len(mine), generator=generator)[:wanted].tolist()
                drawn += [mine[number] for number in order]
                wanted -= len(order)
        mixed_up = torch.randperm(len(drawn), generator=generator).tolist()
        return [drawn[place] for place in mixed_up]

    # --- the cursor -----------------------------------------------------------------------------

    def peek(self) -> Batch:
        """The coming batch; the cursor stays, but for batches of which nothing can be read.

        Raises:
            DataProblem: not one image of a whole epoch can be read.
        """
        skipped: list[tuple[str, str]] = []
        for _ in range(self.batches_per_epoch + 1):
            samples, futures = self._start(self.position)
            epoch = self.position // self.batches_per_epoch + 1
            batch = self.decoder.collect(samples, futures, epoch)
            # One image alone is no batch: BatchNorm cannot normalise over it.
            if len(batch.labels) > 1 or (len(samples) == 1 and len(batch.labels)):
                if skipped:
                    unread = (*skipped, *batch.skipped)
                    batch = Batch(batch.images, batch.labels, epoch, unread, batch.samples)
                return batch
            skipped += batch.skipped
            self._ahead.pop(self.position)
            self.position += 1
        path, reason = skipped[0]
        raise DataProblem(
            f"none of {len(self.samples)} training images can be read, such as "
            f"{printable(path)}: {reason}"
        )

    def take(self) -> Batch:
        """The coming batch; the cursor moves on, and the batch after it begins to be decoded."""
        batch = self.peek()
        self._ahead.pop(self.position)
        self.position += 1
        self._start(self.position)
        return batch

    def put_back(self, position: int) -> None:
        """Set the cursor to where it was."""
        self.position = position
        self._ahead = {key: value for key, value in self._ahead.items() if key == position}

    def _start(self, position: int) -> tuple[tuple[Sample, ...], list[Future[Tensor]]]:
        if position not in self._ahead:
            drawn = self._drawn_at(position)
            samples = tuple(self.samples[index] for index, _ in drawn)
            augment = self._augmentation
            transforms = None
            if augment is not None:
                epoch = position // self.batches_per_epoch + 1
                transforms = [_augmented(augment, epoch, index, again) for index, again in drawn]
            self._ahead[position] = (samples, self.decoder.submit(samples, transforms))
        return self._ahead[position]


def _augmented(augment: Augmentation, epoch: int, index: int, again: int) -> Transform:
    return lambda image: augment(image, epoch, index, again)
