"""The demo backbone: weights for a ResNet-18 that come with tl-tui, for use without internet.

They are no substitute for ImageNet weights. `demo_data/README.md` says how and from what they were
made, their licence, and how accurate they are. The file's metadata holds the image size and the
normalisation.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from safetensors import safe_open
from torchvision.transforms._presets import ImageClassification

import demo_data

ARCH = "resnet18"
"""The architecture of the demo backbone."""
LABEL = "demo backbone"


def demo_weights_path() -> Path:
    """Return the path of the weights file, which need not exist."""
    return demo_data.weights_file()


def fits_demo_weights(arch: str) -> bool:
    """Return whether the demo backbone has this architecture and its file exists."""
    return arch == ARCH and demo_weights_path().is_file()


def demo_transforms(file: Path) -> partial:
    """Return a callable that makes the transform of the weights.

    Args:
        file: A safetensors file. Its metadata has `image_size` in pixels, and `mean` and `std` of
            pixel values in [0, 1], as JSON.
    """
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    side = int(metadata["image_size"])
    return partial(
        ImageClassification,
        crop_size=side,
        resize_size=round(side * 256 / 224),
        mean=tuple(json.loads(metadata["mean"])),
        std=tuple(json.loads(metadata["std"])),
    )
