"""The demo backbone: a small ResNet-18 that comes with tl-tui, for where there is no internet.

It is no substitute for ImageNet weights. `demo_data/README.md` says how it was made, from what and
under which licence, and what it is worth. Its picture size and normalisation stand in the file.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from safetensors import safe_open
from torchvision.transforms._presets import ImageClassification

import demo_data

ARCH = "resnet18"
LABEL = "demo backbone"


def demo_weights_path() -> Path:
    """Where the file should be."""
    return demo_data.weights_file()


def fits_demo_weights(arch: str) -> bool:
    """There are demo weights for this arch, and their file is there."""
    return arch == ARCH and demo_weights_path().is_file()


def demo_transforms(file: Path) -> partial:
    """What makes the transform that belongs to the weights.

    Args:
        file: Safetensors; in its metadata `image_size` in pixels, and `mean` and `std` of pixels in
            0..1, as JSON.
    """
    with safe_open(file, framework="pt") as opened:
        facts = opened.metadata()
    side = int(facts["image_size"])
    return partial(
        ImageClassification,
        crop_size=side,
        resize_size=round(side * 256 / 224),
        mean=tuple(json.loads(facts["mean"])),
        std=tuple(json.loads(facts["std"])),
    )
