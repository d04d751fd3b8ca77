"""Training augmentation: drawn per image, the same whatever the number of threads.

The numbers come from a generator seeded by (seed, epoch, image index) and are applied with
`torchvision.transforms.v2.functional`. The v2 transform classes would draw from the global
generator, which all threads share. Sizes, means and deviations belong to the weights.

light: a crop of three quarters of the area or more, and a mirror image. standard: a crop of 35 %
or more, mirrored, with brightness, contrast and saturation changed by up to a fifth. (torchvision
trains ImageNet from nothing with crops from 8 % on, over 90 epochs and more; over the few epochs
of a fine-tuning so small a crop often shows nothing of the object.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms._presets import ImageClassification
from torchvision.transforms.v2 import functional as F


@dataclass(frozen=True)
class Amounts:
    least_area: float
    """Of the crop, as a share of the image."""
    aspect: float
    """The crop's sides differ by this factor at most."""
    colour: float
    """Brightness, contrast and saturation are multiplied with 1 ± this."""


AMOUNTS = {
    "light": Amounts(least_area=0.75, aspect=1.1, colour=0.0),
    "standard": Amounts(least_area=0.35, aspect=4 / 3, colour=0.2),
}
DRAWS = 8


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
        self.amounts = AMOUNTS[name]
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
        generator = torch.Generator().manual_seed(mixed(self.seed, epoch, index, again))
        draws = torch.rand(DRAWS, generator=generator, dtype=torch.float64).tolist()
        top, left, height, width = self._crop(image, draws[:4])
        side = [self.preset.crop_size[0]] * 2
        image = F.resized_crop(
            image, top, left, height, width, side, self.preset.interpolation, antialias=True
        )
        if draws[4] < 0.5:
            image = F.horizontal_flip(image)
        if self.amounts.colour:
            by = [1 + self.amounts.colour * (2 * draw - 1) for draw in draws[5:8]]
            image = F.adjust_saturation(
                F.adjust_contrast(F.adjust_brightness(image, by[0]), by[1]), by[2]
            )
        tensor = F.to_dtype(F.pil_to_tensor(image), torch.float32, scale=True)
        return F.normalize(tensor, self.preset.mean, self.preset.std)

    def _crop(self, image: Image.Image, draws: list[float]) -> tuple[int, int, int, int]:
        """Top, left, height and width of a crop with the area and aspect that were drawn."""
        width, height = image.size
        area = width * height * (self.amounts.least_area + (1 - self.amounts.least_area) * draws[0])
        aspect = math.exp(math.log(self.amounts.aspect) * (2 * draws[1] - 1))
        wide = min(width, max(1, round(math.sqrt(area * aspect))))
        high = min(height, max(1, round(math.sqrt(area / aspect))))
        return int(draws[2] * (height - high + 1)), int(draws[3] * (width - wide + 1)), high, wide


def mixed(*numbers: int) -> int:
    """One seed from several numbers, so that neighbouring ones share nothing."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
