"""Thumbnails show the images as the model gets them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as F
from torchvision.transforms._presets import ImageClassification

from engine.checks.thumbnails import thumbnail_of

PRESET = ImageClassification(crop_size=32, resize_size=40)


def photograph(width: int = 60, height: int = 50) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    channels = [255 * rows / height, 255 * columns / width, 255 * (rows + columns) / 110]
    return Image.fromarray(np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8))


def pixels_of(width: int, height: int, pixels: bytes) -> np.ndarray:
    return np.frombuffer(pixels, dtype=np.uint8).reshape(height, width, 3)


def test_a_full_size_thumbnail_equals_the_crop_that_the_model_gets() -> None:
    image = photograph()
    shown = pixels_of(*thumbnail_of(PRESET(image), PRESET, 32))
    crop = F.center_crop(F.resize(image, [40]), [32])
    assert np.array_equal(shown, np.asarray(crop))


@pytest.mark.parametrize("side", [1, 5, 16])
def test_a_smaller_thumbnail_has_the_colours_of_the_downscaled_crop(side: int) -> None:
    image = photograph()
    shown = pixels_of(*thumbnail_of(PRESET(image), PRESET, side)).astype(int)
    crop = F.center_crop(F.resize(image, [40]), [32]).resize((side, side), Image.Resampling.BOX)
    assert shown.shape == (side, side, 3)
    assert np.abs(shown - np.asarray(crop)).max() <= 12


@pytest.mark.parametrize(
    ("shape", "size"), [((3, 20, 40), (10, 5)), ((3, 40, 20), (5, 10)), ((3, 1, 90), (10, 1))]
)
def test_the_longer_edge_has_the_requested_length(
    shape: tuple[int, ...], size: tuple[int, int]
) -> None:
    width, height, pixels = thumbnail_of(torch.zeros(shape), PRESET, 10)
    assert (width, height) == size and len(pixels) == 3 * width * height


def test_the_normalisation_of_the_preset_is_undone() -> None:
    preset = ImageClassification(crop_size=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    levels = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1).expand(3, 8, 8)
    assert set(pixels_of(*thumbnail_of(levels, preset, 4)).reshape(-1, 3).tolist()[0]) == {
        0, 128, 255,
    }  # fmt: skip


def test_values_out_of_range_are_clamped() -> None:
    wild = torch.tensor([99.0, -99.0, 0.0]).view(3, 1, 1).expand(3, 8, 8)
    assert tuple(pixels_of(*thumbnail_of(wild, PRESET, 2))[0, 0][:2]) == (255, 0)
