"""Batches of images, decoded by a pool of threads, in an order that depends only on the seed.

Threads rather than loader processes avoid forking after CUDA is initialised, the size limit of
/dev/shm, and orphaned processes.
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

from engine.data.augmentation import Augmentation, combine_seeds
from engine.data.decoded_images import DecodedImages
from engine.data.decoding import Transform, UnreadableImage, normalised, read_rgb
from engine.data.samples import DataProblem, Sample, printable
from engine.data.value_ranges import NO_RANGES, ClippedValues, Ranges
from engine.hardware.memory_errors import ran_out_of_memory

if TYPE_CHECKING:
    from engine.model.layer_stack import Cut


@dataclass(frozen=True)
class Batch:
    """Images with their labels, or the activations of these images at a cut."""

    images: Tensor
    """[N, 3, size, size], normalised, on the host; if `cut` is set, activations on the device."""
    labels: Tensor
    """[N], int64."""
    epoch: int
    """The epoch, counted from 1."""
    skipped: tuple[tuple[Sample, str], ...] = ()
    """The images that could not be read, each with the reason."""
    samples: tuple[Sample, ...] = ()
    """The samples that `images` were read from, in the same order."""
    cut: Cut | None = None
    """The cut that the activations belong to; None for images."""
    executed: int = 0
    """The number of images for which the layers below the cut were run for this batch."""


class Decoder:
    """Decodes images in a pool of threads, so that the next batch is decoded during a step."""

    def __init__(
        self,
        transform: Transform,
        threads: int = 4,
        keep: int = 0,
        ranges: Ranges = NO_RANGES,
    ) -> None:
        """
        Args:
            transform: The default transform, for samples without one of their own.
            threads: The number of images to decode at the same time.
            keep: The number of bytes of decoded images to keep for the next epochs.
            ranges: The ranges by which images with more than 8 bits per pixel are scaled.
        """
        self.transform = transform
        self.ranges = ranges
        self.clipped = ClippedValues()
        self.decoded = DecodedImages(keep)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def close(self) -> None:
        """Cancel pending work and let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def submit(
        self, samples: Sequence[Sample], transforms: Sequence[Transform] | None = None
    ) -> list[Future[Tensor]]:
        """Start decoding images.

        Args:
            samples: The images.
            transforms: One transform per image; the default transform for all if None.

        Returns:
            One future per image, for `collect`.
        """
        each = transforms or [self.transform] * len(samples)
        return [
            self._pool.submit(self._decode, sample.path, transform)
            for sample, transform in zip(samples, each, strict=True)
        ]

    def _decode(self, path: str, transform: Transform) -> Tensor:
        if transform is self.transform and isinstance(transform, ImageClassification):
            # Keep the uint8 crop and normalise on each use: floats take four times the memory.
            cropped = self.decoded.get(path, "crop", lambda: _crop(self._read(path), transform))
            return normalised(cropped, transform)
        image = self.decoded.get(path, "rgb", lambda: self._read(path))
        return _apply_transform(transform, image)

    def _read(self, path: str) -> Image.Image:
        return read_rgb(path, self.ranges, self.clipped)

    def collect(
        self, samples: Sequence[Sample], futures: list[Future[Tensor]], epoch: int
    ) -> Batch:
        """Wait for the images and return them as a batch.

        Unreadable images are left out, so the batch may be empty.

        Args:
            samples: The images, as passed to `submit`.
            futures: The result of `submit`.
            epoch: The epoch, counted from 1.
        """
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
        """Yield all samples in batches, in order and without augmentation."""
        pending: tuple[Sequence[Sample], list[Future[Tensor]]] | None = None
        for first in range(0, len(samples), batch_size):
            part = samples[first : first + batch_size]
            submitted = (part, self.submit(part))
            if pending is not None:
                yield self.collect(*pending, epoch=0)
            pending = submitted
        if pending is not None:
            yield self.collect(*pending, epoch=0)


class TrainBatches:
    """The sequence of training batches, with a cursor that can be saved and restored.

    The order of an epoch depends only on the seed and the epoch, not on what ran before or on the
    number of decoding threads. A last batch of one image is merged into the batch before it,
    because BatchNorm cannot normalise over a single small image.
    """

    def __init__(
        self, samples: tuple[Sample, ...], batch_size: int, seed: int, decoder: Decoder
    ) -> None:
        self.samples = samples
        self.batch_size = batch_size
        self.seed = seed
        self.decoder = decoder
        self.position = 0
        """The number of batches consumed since the start of the session."""
        count, rest = divmod(len(samples), batch_size)
        self.batches_per_epoch = max(1, count + (1 if rest > 1 else 0))
        self._augmentation: Augmentation | None = None
        self._configured = ("none", False)
        self._ahead: dict[int, tuple[tuple[Sample, ...], list[Future[Tensor]]]] = {}
        self._order: tuple[int, Tensor] | None = None
        """The epoch, counted from 0, and its draws, [images, 2]; see `_draws_at`."""

    def configure(self, *, augmentation: str, balance: bool) -> None:
        """Set how batches are made, starting with the next one.

        Args:
            augmentation: `none`, `light` or `standard`.
            balance: Whether to draw every class equally often.

        Raises:
            TypeError: The decoder's transform is not a torchvision preset, which augmentation
                needs.
        """
        if (augmentation, balance) == self._configured:
            return  # keep the batches decoded ahead
        self._configured = (augmentation, balance)
        self._augmentation = None
        if augmentation != "none":
            preset = self.decoder.transform
            if not isinstance(preset, ImageClassification):
                raise TypeError("augmentation needs a torchvision preset as the transform")
            self._augmentation = Augmentation(augmentation, preset, self.seed)  # type: ignore[arg-type]
        self._drop(self._ahead)
        self._order = None

    # --- the order ------------------------------------------------------------------------------

    def samples_at(self, position: int) -> tuple[Sample, ...]:
        """Return the samples of a batch.

        Args:
            position: The number of batches before it since the start of the session.
        """
        return tuple(self.samples[index] for index, _ in self._draws_at(position))

    def _draws_at(self, position: int) -> list[tuple[int, int]]:
        """Return the draws of a batch: (index of the sample, its earlier draws in this epoch)."""
        epoch, number = divmod(position, self.batches_per_epoch)
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, self._draw_epoch(epoch))
        order = self._order[1]
        first = number * self.batch_size
        last = number == self.batches_per_epoch - 1
        draws = order[first:] if last else order[first : first + self.batch_size]
        return [(index, repeat) for index, repeat in draws.tolist()]

    def _draw_epoch(self, epoch: int) -> Tensor:
        """Return the draws of an epoch in order, [images, 2]; see `_draws_at`."""
        generator = torch.Generator().manual_seed(combine_seeds(self.seed, epoch))
        if self._configured[1]:
            return self._draw_balanced(generator)
        order = torch.randperm(len(self.samples), generator=generator)
        return torch.stack([order, torch.zeros_like(order)], dim=1)

    def _draw_balanced(self, generator: torch.Generator) -> Tensor:
        """Return as many draws as there are images, equally many for every class.

        No image of a class is repeated before all of its images were drawn equally often. A class
        with more images than draws gets different images every epoch.
        """
        labels = torch.tensor([sample.label for sample in self.samples])
        classes = labels.unique().tolist()
        total = len(self.samples)
        # Give the remainder of the division to different classes every epoch.
        extra = torch.randperm(len(classes), generator=generator)[: total % len(classes)].tolist()
        draws = []
        for number, label in enumerate(classes):
            indices = (labels == label).nonzero().flatten()
            count = total // len(classes) + (number in extra)
            rounds = -(-count // len(indices))
            keys = torch.rand(rounds, len(indices), generator=generator, dtype=torch.float64)
            order = indices[keys.argsort(dim=1, stable=True).flatten()]
            repeat = torch.arange(rounds).repeat_interleave(len(indices))
            draws.append(torch.stack([order, repeat], dim=1)[:count])
        all_draws = torch.cat(draws)
        return all_draws[torch.randperm(len(all_draws), generator=generator)]

    # --- the cursor -----------------------------------------------------------------------------

    def peek(self) -> Batch:
        """Return the next batch without consuming it; unreadable batches are skipped.

        Raises:
            DataProblem: No batch of a whole epoch has enough readable images.
        """
        return self.first_usable(self._decode_batch)

    def first_usable(self, make: Callable[[int], Batch]) -> Batch:
        """Return the first batch from the cursor on that has enough readable images.

        The cursor moves past batches with fewer than two readable images.

        Args:
            make: Returns the batch at a position, without the unreadable images.

        Returns:
            The batch. Its `skipped` includes the images of the batches that were passed over.

        Raises:
            DataProblem: No batch of a whole epoch has enough readable images.
        """
        skipped: list[tuple[Sample, str]] = []
        for _ in range(self.batches_per_epoch + 1):
            batch = make(self.position)
            skipped += batch.skipped
            # A single image left over is too few: BatchNorm cannot normalise over it.
            if len(batch.labels) > 1 or (len(batch.labels) and not batch.skipped):
                return replace(batch, skipped=tuple(skipped))
            self._drop([self.position])
            self.position += 1
        (path, _), reason = skipped[0]
        count = len({sample.path for sample, _ in skipped})
        raise DataProblem(
            f"{count} of {len(self.samples)} training images cannot be read, so no batch is left "
            f"to train on. Check the folder; the first such image is {printable(path)}: {reason}."
        )

    def _decode_batch(self, position: int) -> Batch:
        samples, futures = self._start(position)
        return self.decoder.collect(samples, futures, position // self.batches_per_epoch + 1)

    def take(self) -> Batch:
        """Return the next batch, advance the cursor, and start decoding the batch after it.

        Raises:
            DataProblem: No batch of a whole epoch has enough readable images.
        """
        batch = self.peek()
        self._ahead.pop(self.position)
        self.position += 1
        self._start(self.position)
        return batch

    def take_made(self, make: Callable[[tuple[Sample, ...], int], Batch]) -> Batch:
        """Return the next batch, made by a function instead of by decoding; advance the cursor.

        Args:
            make: Returns a batch for samples and an epoch, counted from 1.

        Raises:
            DataProblem: No batch of a whole epoch has enough readable images.
        """
        self._drop(self._ahead)
        batch = self.first_usable(
            lambda position: make(self.samples_at(position), position // self.batches_per_epoch + 1)
        )
        self.position += 1
        return batch

    def put_back(self, position: int) -> None:
        """Set the cursor to an earlier position."""
        self.position = position
        self._drop([key for key in self._ahead if key != position])

    def _drop(self, positions: Iterable[int]) -> None:
        """Discard the batches decoded ahead at these positions, and cancel pending work."""
        for position in list(positions):
            for future in self._ahead.pop(position, ((), []))[1]:
                future.cancel()

    def _start(self, position: int) -> tuple[tuple[Sample, ...], list[Future[Tensor]]]:
        """Start decoding the batch at a position, unless that has begun; return its futures."""
        if position not in self._ahead:
            draws = self._draws_at(position)
            samples = tuple(self.samples[index] for index, _ in draws)
            augment = self._augmentation
            transforms = None
            if augment is not None:
                epoch = position // self.batches_per_epoch + 1
                transforms = [
                    _bind_augmentation(augment, epoch, index, repeat) for index, repeat in draws
                ]
            self._ahead[position] = (samples, self.decoder.submit(samples, transforms))
        return self._ahead[position]


def _crop(image: Image.Image, preset: ImageClassification) -> Tensor:
    """Return an image resized and cropped by a preset, [3, size, size] uint8."""

    def resize_and_crop(image: Image.Image) -> Tensor:
        resized = functional.resize(
            image, preset.resize_size, preset.interpolation, antialias=preset.antialias
        )
        cropped = functional.center_crop(resized, preset.crop_size)
        return functional.pil_to_tensor(cropped).contiguous()  # keeps normalised images contiguous

    return _apply_transform(resize_and_crop, image)


def _apply_transform(transform: Transform, image: Image.Image) -> Tensor:
    """Transform an image.

    Raises:
        UnreadableImage: The transform fails, other than for lack of memory.
    """
    try:
        return transform(image)
    except (ValueError, RuntimeError, OSError) as error:
        if ran_out_of_memory(error):
            raise
        raise UnreadableImage(f"it cannot be resized ({error})") from error


def _bind_augmentation(augment: Augmentation, epoch: int, index: int, repeat: int) -> Transform:
    return lambda image: augment(image, epoch, index, repeat)
