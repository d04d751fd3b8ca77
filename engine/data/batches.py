"""Batches of images, decoded by a pool of threads.

Threads rather than loader processes avoid forking after CUDA is initialised, the size limit of
/dev/shm, and orphaned processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional
from torchvision.transforms._presets import ImageClassification

from engine.data.conversion.value_ranges import NO_RANGES, ClippedValues, Ranges
from engine.data.decoded_images import DecodedImages
from engine.data.decoding import Transform, UnreadableImage, normalised, read_rgb
from engine.data.samples import Sample, printable
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
