"""Real photographs from scikit-image: crops of four of them, and faces and non-faces.

`lfw_subset.npy` holds 100 faces from Labeled Faces in the Wild and 100 patches of the same pictures
without a face, 25 × 25, grey (https://vis-www.cs.umass.edu/lfw/; the subset is part of
scikit-image, BSD-3-Clause).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

FACES = 100


def faces_or_not(root: Path) -> Path:
    """Write an image folder with 100 photographs each in `ROOT/face/` and `ROOT/no face/`."""
    spec = importlib.util.find_spec("skimage")
    assert spec is not None and spec.origin is not None
    pixels = np.load(Path(spec.origin).parent / "data" / "lfw_subset.npy")
    for number, photograph in enumerate((pixels * 255).round().astype(np.uint8)):
        folder = root / ("face" if number < FACES else "no face")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph).save(folder / f"{number:03}.png")
    return root


PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")


def crops_of_photographs(root: Path, count: int, *, seed: int = 0) -> Path:
    """Write an image folder with a class per photograph, each with crops as JPEG.

    Args:
        root: The folder to write.
        count: The number of crops of each photograph.
        seed: Random seed of their places and sizes.
    """
    spec = importlib.util.find_spec("skimage")
    assert spec is not None and spec.origin is not None
    random = np.random.default_rng(seed)
    for name in PHOTOGRAPHS:
        with Image.open(Path(spec.origin).parent / "data" / name) as image:
            photograph = image.convert("RGB")
        folder = root / name.partition(".")[0]
        folder.mkdir(parents=True)
        for number in range(count):
            width, height = random.integers(80, 160, 2).tolist()
            left = int(random.integers(0, photograph.width - width))
            top = int(random.integers(0, photograph.height - height))
            crop = photograph.crop((left, top, left + width, top + height))
            crop.save(folder / f"{number:03}.jpg", quality=90)
    return root
