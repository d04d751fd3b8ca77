"""Training augmentation, independent of the number of threads that decode images.

Random numbers come from a generator seeded with (seed, epoch, image index) and are applied with
`torchvision.transforms.v2.functional`. The v2 transform classes would draw from the global
generator, which all threads share. Image size, mean and standard deviation come from the weights.

`light` takes the centre crop of validation, shifted by up to a tenth of its side and scaled by up
to a tenth, and flips half of the images horizontally. Objects keep the size that they have in
validation, unlike in random resized crops (see the reference).

`standard` takes a random resized crop of at least 35 % of the area, flips half of the images, and
changes brightness, contrast and saturation by up to a fifth. torchvision trains ImageNet models
from scratch with crops of at least 8 %, over 90 epochs or more; in the few epochs of fine-tuning,
so small a crop often misses the object.

Reference:
    light: Touvron et al., Fixing the train-test resolution discrepancy, NeurIPS 2019.
    standard: Szegedy et al., Going deeper with convolutions, CVPR 2015.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms._presets import ImageClassification
from torchvision.transforms.v2 import functional as F

from engine.data.decoding import normalised

Draw = Callable[[float, float], float]
"""Draws a number between two bounds, uniformly distributed."""
Box = tuple[int, int, int, int]
"""A crop: top, left, height, width."""

LIGHT_BY = 0.1
"""The largest shift and change of size of a light crop, as a share of its side."""
LEAST_AREA = 0.35
"""The smallest area of a standard crop, as a share of the image."""
ASPECT = 4 / 3
"""The largest aspect ratio of a standard crop, wide or tall."""
COLOUR = 0.2
"""Brightness, contrast and saturation are multiplied by a factor in 1 ± this."""
TRIES = 10
"""The number of attempts to draw a crop that fits into the image, as in torchvision."""
PURPOSE = 1
"""Keeps the seeds of augmentation apart from those of the batch order."""


class Augmentation:
    """Augments the training images of one run."""

    def __init__(
        self, name: Literal["light", "standard"], preset: ImageClassification, seed: int
    ) -> None:
        """
        Args:
            name: The strength: `light` or `standard`.
            preset: The transform of the weights, for image size and normalisation.
            seed: Random seed of the run.
        """
        self.name = name
        self.preset = preset
        self.seed = seed

    def __call__(self, image: Image.Image, epoch: int, index: int, repeat: int = 0) -> Tensor:
        """Return an augmented and normalised image, [3, crop, crop].

        Args:
            image: An RGB image of any size.
            epoch: The epoch, counted from 1.
            index: Index of the image among the training samples.
            repeat: How many times the image was drawn before in this epoch (`--balance` repeats
                images).
        """
        seed = combine_seeds(self.seed, epoch, index, repeat, PURPOSE)
        generator = torch.Generator().manual_seed(seed)

        def draw(low: float, high: float) -> float:
            return low + (high - low) * torch.rand((), generator=generator).item()

        preset, side = self.preset, self.preset.crop_size[0]
        if self.name == "light":
            box = light_crop(image.size, side / preset.resize_size[0], draw)
        else:
            box = standard_crop(image.size, draw)
        image = F.resized_crop(
            image, *box, [side, side], preset.interpolation, antialias=preset.antialias
        )
        if draw(0, 1) < 0.5:
            image = F.horizontal_flip(image)
        if self.name == "standard":
            image = F.adjust_brightness(image, draw(1 - COLOUR, 1 + COLOUR))
            image = F.adjust_contrast(image, draw(1 - COLOUR, 1 + COLOUR))
            image = F.adjust_saturation(image, draw(1 - COLOUR, 1 + COLOUR))
        return normalised(F.pil_to_tensor(image), preset)


def light_crop(size: tuple[int, int], share: float, draw: Draw) -> Box:
    """Return the centre crop of the weights' transform, slightly shifted and scaled.

    Args:
        size: Width and height of the image.
        share: Side of the centre crop, as a share of the image's shorter side.
        draw: Source of random numbers.
    """
    width, height = size
    centre_side = min(size) * min(1.0, share)
    side = max(1, min(round(centre_side * draw(1 - LIGHT_BY, 1 + LIGHT_BY)), *size))
    top = round((height - side) / 2 + centre_side * draw(-LIGHT_BY, LIGHT_BY))
    left = round((width - side) / 2 + centre_side * draw(-LIGHT_BY, LIGHT_BY))
    return min(max(top, 0), height - side), min(max(left, 0), width - side), side, side


def standard_crop(size: tuple[int, int], draw: Draw) -> Box:
    """Return a crop of random area and aspect ratio.

    If no drawn crop fits, return the largest centre crop with an aspect ratio within `ASPECT`.

    Args:
        size: Width and height of the image.
        draw: Source of random numbers.
    """
    width, height = size
    for _ in range(TRIES):
        area = width * height * draw(LEAST_AREA, 1)
        aspect = math.exp(draw(-math.log(ASPECT), math.log(ASPECT)))
        wide, high = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < high <= height:
            return int(draw(0, height - high + 1)), int(draw(0, width - wide + 1)), high, wide
    wide, high = min(width, round(height * ASPECT)), min(height, round(width * ASPECT))
    return (height - high) // 2, (width - wide) // 2, high, wide


def combine_seeds(*numbers: int) -> int:
    """Return one seed for several numbers; similar numbers give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
