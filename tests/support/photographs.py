"""Real photographs: scikit-image's faces and non-faces.

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
