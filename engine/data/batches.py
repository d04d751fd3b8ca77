"""Batches: decoded by a pool of threads, in an order that the seed decides.

Without loader processes: no fork after CUDA, no limit of /dev/shm, no orphans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional
from torchvision.transforms._presets import ImageClassification

from engine.data.augmentation import Augmentation, mixed
from engine.data.decoded_images import DecodedImages
from engine.data.decoding import Transform, UnreadableImage, normalised, read_rgb, without_outliers
from engine.data.samples import DataProblem, Sample, printable
from engine.hardware.memory_errors import ran_out_of_memory

if TYPE_CHECKING:
    from engine.model.layer_stack import Cut


@dataclass(frozen=True)
class Batch:
    images: Tensor
    """[N, 3, size, size], normalised, on the host; or activations, see `cut`."""
    labels: Tensor
    """[N], int64."""
    epoch: int
    """Counted from 1."""
    skipped: tuple[tuple[Sample, str], ...] = ()
    """Images that could not be read, each with the reason."""
    samples: tuple[Sample, ...] = ()
    """What the images are of, in their order."""
    cut: Cut | None = None
    """Where `images` are not images but the model's activations for them, on its device."""
    executed: int = 0
    """For how many of them the layers below the cut were executed just now."""


class Decoder:
    """Decodes images in a pool of threads, and the coming batch while a step runs."""

    def __init__(self, transform: Transform, threads: int = 4, keep: int = 0) -> None:
        """
        Args:
            transform: What is made of an image if nothing else is asked for.
            threads: How many images are decoded at once.
            keep: Bytes of decoded images that are kept for the next time.
        """
        self.transform = transform
        self.decoded = DecodedImages(keep)
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

    def _decode(self, path: str, transform: Transform) -> Tensor:
        if transform is self.transform and isinstance(transform, ImageClassification):
            # The preset's own steps, kept where they still are in bytes: a fourth of the memory.
            cropped = self.decoded.get(path, "crop", lambda: _cropped(self._read(path), transform))
            return normalised(cropped, transform)
        return _made(transform, self.decoded.get(path, "rgb", lambda: self._read(path)))

    @staticmethod
    def _read(path: str) -> Image.Image:
        return without_outliers(read_rgb(path))

    def collect(
        self, samples: Sequence[Sample], futures: list[Future[Tensor]], epoch: int
    ) -> Batch:
        """The batch, without the images that cannot be read; it may be empty."""
        images: list[Tensor] = []
        read: list[Sample] = []
        skipped: list[tuple[Sample, str]] = []
        for sample, future in zip(samples, futures, strict=True):
            try:
                images.append(future.result())
                read.append(sample)
            except UnreadableImage as error:
                skipped.append((sample, printable(str(error))))
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
        self._configured = ("none", False)
        self._ahead: dict[int, tuple[tuple[Sample, ...], list[Future[Tensor]]]] = {}
        self._order: tuple[int, Tensor] | None = None
        """The epoch from 0, and its draws [images, 2]; see `_drawn_at`."""

    def configure(self, *, augmentation: str, balance: bool) -> None:
        """Change how batches are made, from the coming one on.

        Args:
            augmentation: none, light or standard.
            balance: Draw every class equally often.

        Raises:
            TypeError: augmentation with a decoder that has no preset of torchvision's.
        """
        if (augmentation, balance) == self._configured:
            return  # what was decoded ahead stays
        self._configured = (augmentation, balance)
        self._augmentation = None
        if augmentation != "none":
            preset = self.decoder.transform
            if not isinstance(preset, ImageClassification):
                raise TypeError("augmentation takes sizes and normalisation from a preset")
            self._augmentation = Augmentation(augmentation, preset, self.seed)  # type: ignore[arg-type]
        self._drop(self._ahead)
        self._order = None

    # --- the order ------------------------------------------------------------------------------

    def samples_at(self, position: int) -> tuple[Sample, ...]:
        """The samples of a batch, by its position since the session's start."""
        return tuple(self.samples[index] for index, _ in self._drawn_at(position))

    def _drawn_at(self, position: int) -> list[tuple[int, int]]:
        """(index of the sample, how many times it is drawn besides in this epoch) of a batch."""
        epoch, number = divmod(position, self.batches_per_epoch)
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, self._order_of(epoch))
        order = self._order[1]
        first = number * self.batch_size
        last = number == self.batches_per_epoch - 1
        drawn = order[first:] if last else order[first : first + self.batch_size]
        return [(index, again) for index, again in drawn.tolist()]

    def _order_of(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(mixed(self.seed, epoch))
        if self._configured[1]:
            return self._balanced(generator)
        order = torch.randperm(len(self.samples), generator=generator)
        return torch.stack([order, torch.zeros_like(order)], dim=1)

    def _balanced(self, generator: torch.Generator) -> Tensor:
        """As many draws as there are images, every class as often as any other.

        Within a class no image comes again before all of it have come as often; of a class with
        more images than draws, other ones come every epoch.
        """
        labels = torch.tensor([sample.label for sample in self.samples])
        classes = labels.unique().tolist()
        total = len(self.samples)
        # What does not divide evenly goes to other classes every epoch.
        extra = torch.randperm(len(classes), generator=generator)[: total % len(classes)].tolist()
        drawn = []
        for place, label in enumerate(classes):
            mine = (labels == label).nonzero().flatten()
            wanted = total // len(classes) + (place in extra)
            rounds = -(-wanted // len(mine))
            keys = torch.rand(rounds, len(mine), generator=generator, dtype=torch.float64)
            order = mine[keys.argsort(dim=1, stable=True).flatten()]
            again = torch.arange(rounds).repeat_interleave(len(mine))
            drawn.append(torch.stack([order, again], dim=1)[:wanted])
        together = torch.cat(drawn)
        return together[torch.randperm(len(together), generator=generator)]

    # --- the cursor -----------------------------------------------------------------------------

    def peek(self) -> Batch:
        """The coming batch; the cursor stays, but for batches of which nothing can be read.

        Raises:
            DataProblem: a whole epoch leaves nothing to train on.
        """
        return self.first_usable(self._decoded)

    def first_usable(self, made: Callable[[int], Batch]) -> Batch:
        """The batch at the cursor, which moves past those with fewer than two images to read.

        Args:
            made: The batch at a position, without the images that cannot be read.

        Returns:
            It tells of the images that were passed over too.

        Raises:
            DataProblem: a whole epoch leaves nothing to train on.
        """
        skipped: list[tuple[Sample, str]] = []
        for _ in range(self.batches_per_epoch + 1):
            batch = made(self.position)
            skipped += batch.skipped
            # One image alone is no batch: BatchNorm cannot normalise over it.
            if len(batch.labels) > 1 or (len(batch.labels) and not batch.skipped):
                return replace(batch, skipped=tuple(skipped))
            self._drop([self.position])
            self.position += 1
        (path, _), reason = skipped[0]
        count = len({sample.path for sample, _ in skipped})
        raise DataProblem(
            f"{count} of {len(self.samples)} training images cannot be read, which leaves nothing "
            f"to train on; the first is {printable(path)}: {reason}. Look at the folder."
        )

    def _decoded(self, position: int) -> Batch:
        samples, futures = self._start(position)
        return self.decoder.collect(samples, futures, position // self.batches_per_epoch + 1)

    def take(self) -> Batch:
        """The coming batch; the cursor moves on, and the batch after it begins to be decoded."""
        batch = self.peek()
        self._ahead.pop(self.position)
        self.position += 1
        self._start(self.position)
        return batch

    def take_made(self, made: Callable[[tuple[Sample, ...], int], Batch]) -> Batch:
        """The coming batch, made from its samples and its epoch otherwise than by decoding."""
        self._drop(self._ahead)
        batch = self.first_usable(
            lambda position: made(self.samples_at(position), position // self.batches_per_epoch + 1)
        )
        self.position += 1
        return batch

    def put_back(self, position: int) -> None:
        """Set the cursor to where it was."""
        self.position = position
        self._drop([key for key in self._ahead if key != position])

    def _drop(self, positions: Iterable[int]) -> None:
        """Forget what was decoded ahead for these positions; what waits is not begun."""
        for position in list(positions):
            for future in self._ahead.pop(position, ((), []))[1]:
                future.cancel()

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


def _cropped(image: Image.Image, preset: ImageClassification) -> Tensor:
    """An image as a preset crops it, [3, size, size] uint8."""

    def crop(image: Image.Image) -> Tensor:
        resized = functional.resize(
            image, preset.resize_size, preset.interpolation, antialias=preset.antialias
        )
        cut = functional.center_crop(resized, preset.crop_size)
        return functional.pil_to_tensor(cut).contiguous()  # kept as what is made of it is laid out

    return _made(crop, image)


def _made(transform: Transform, image: Image.Image) -> Tensor:
    try:
        return transform(image)
    except (ValueError, RuntimeError, OSError) as error:
        if ran_out_of_memory(error):
            raise
        raise UnreadableImage(f"it cannot be resized ({error})") from error


def _augmented(augment: Augmentation, epoch: int, index: int, again: int) -> Transform:
    return lambda image: augment(image, epoch, index, again)
