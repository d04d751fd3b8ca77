"""The images that epochs are measured on: the demo's, or a few drawn ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import demo_data
from benchmarks.table.row import Bench
from tests.support.driven_session import draw_images


def demo_images(bench: Bench) -> Path:
    """An image folder of two classes with train/ and val/."""
    if not bench.quick:
        return Path(demo_data.__file__).parent / "images"
    root = bench.scratch / "images"
    return root if root.exists() else draw_images(root, train=24, val=8, size=72)


def photographs(bench: Bench) -> Path:
    """The same as JPEG files of 640 × 480, the size of COCO's photographs.

    They are the demo's images enlarged, with noise, for a smooth one is decoded faster than what
    a camera saw.
    """
    root = bench.scratch / "photographs"
    if not root.exists():
        noise = np.random.default_rng(0)
        for source in sorted(demo_images(bench).rglob("*.[jp][pn]g")):
            with Image.open(source) as image:
                large = np.asarray(image.convert("RGB").resize((640, 480)), dtype=np.int16)
            seen = (large + noise.normal(0, 8, large.shape)).clip(0, 255).astype(np.uint8)
            place = root / source.relative_to(demo_images(bench)).with_suffix(".jpg")
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(seen).save(place, quality=90)
    return root
