"""The images for measuring epochs: the demo's images or, with `--quick`, a few drawn ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import demo_data
from benchmarks.table.row import Bench
from tests.support.driven_session import draw_images


def demo_images(bench: Bench) -> Path:
    """Return an image folder of two classes with train/ and val/."""
    if not bench.quick:
        return Path(demo_data.__file__).parent / "images"
    root = bench.scratch / "images"
    return root if root.exists() else draw_images(root, train=24, val=8, size=72)


def photographs(bench: Bench) -> Path:
    """Return the same folder with JPEG files of 640 × 480, the size of COCO's photographs.

    They are the demo's images, enlarged and with noise added, because a smooth image is decoded
    faster than a photograph.
    """
    root = bench.scratch / "photographs"
    if not root.exists():
        noise = np.random.default_rng(0)
        for source in sorted(demo_images(bench).rglob("*.[jp][pn]g")):
            with Image.open(source) as image:
                large = np.asarray(image.convert("RGB").resize((640, 480)), dtype=np.int16)
            noisy = (large + noise.normal(0, 8, large.shape)).clip(0, 255).astype(np.uint8)
            path = root / source.relative_to(demo_images(bench)).with_suffix(".jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noisy).save(path, quality=90)
    return root
