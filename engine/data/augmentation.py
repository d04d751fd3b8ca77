"""Training augmentation: drawn per image, the same whatever the number of threads.

The numbers come from a generator seeded by (seed, epoch, image index) and are applied with
`torchvision.transforms.v2.functional`. The v2 transform classes would draw from the global
generator, which all threads share. Sizes, means and deviations belong to the weights.

light: what validation sees of the image, moved by up to a tenth and up to a tenth larger or
smaller, and its mirror image. Objects keep the size that they have in validation, which random
crops take away (Touvron et al., Fixing the train-test resolution discrepancy, NeurIPS 2019).

standard: a random crop (Szegedy et al., Going deeper with convolutions, CVPR 2015) of 35 % of the
area or more, mirrored, with brightness, contrast and saturation changed by up to a fifth.
torchvision trains ImageNet from nothing with crops from 8 % on, over 90 epochs and more; over the
few epochs of a fine-tuning so small a crop often shows nothing of the object.
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
"""A number between two, evenly distributed."""
Box = tuple[int, int, int, int]
"""Top, left, height, width."""

LIGHT_BY = 0.1
"""Of the side of what validation sees: how far it is moved, and how much its size changes."""
LEAST_AREA = 0.35
"""Of a standard crop, as a share of the image."""
ASPECT = 4 / 3
"""The sides of a standard crop differ by this factor at most."""
COLOUR = 0.2
"""Brightness, contrast and saturation are multiplied with 1 ± this."""
TRIES = 10
"""For a crop that fits into the image, as in torchvision."""
PURPOSE = 1
"""Keeps these seeds apart from those of the order of an epoch."""


class Augmentation:
    """Makes training images of one run."""

    def __init__(
        self, name: Literal["light", "standard"], preset: ImageClassification, seed: int
    ) -> None:
        """
        Args:
            name: How much.
            preset: The transform that belongs to the weights.
            seed: Of the run.
        """
        self.name = name
        self.preset = preset
        self.seed = seed

    def __call__(self, image: Image.Image, epoch: int, index: int, again: int = 0) -> Tensor:
        """One image as the model gets it, normalised, [3, crop, crop].

        Args:
            image: RGB, of any size.
            epoch: From 1.
            index: Of the image among the training samples.
            again: How many times it came in this epoch before (`--balance` repeats images).
        """
        generator = torch.Generator().manual_seed(mixed(self.seed, epoch, index, again, PURPOSE))

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
    """The centre crop of the weights' transform, moved and scaled a little within the image.

    Args:
        size: Width and height of the image.
        share: Of the image's shorter side that the centre crop takes.
        draw: Where random numbers come from.
    """
    width, height = size
    seen = min(size) * min(1.0, share)
    side = max(1, min(round(seen * draw(1 - LIGHT_BY, 1 + LIGHT_BY)), *size))
    top = round((height - side) / 2 + seen * draw(-LIGHT_BY, LIGHT_BY))
    left = round((width - side) / 2 + seen * draw(-LIGHT_BY, LIGHT_BY))
    return min(max(top, 0), height - side), min(max(left, 0), width - side), side, side


def standard_crop(size: tuple[int, int], draw: Draw) -> Box:
    """A crop of random area and aspect; the middle of an image too long for any.

    Args:
        size: Width and height of the image.
        draw: Where random numbers come from.
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


def mixed(*numbers: int) -> int:
    """One seed from several numbers, so that neighbouring ones share nothing."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
