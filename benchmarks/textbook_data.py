"""The images that epochs are measured on: the demo's, or a few drawn ones."""

from __future__ import annotations

from pathlib import Path

import demo_data
from tests.sessions import draw_images

from .rows import Bench


def demo_images(bench: Bench) -> Path:
    """An image folder of two classes with train/ and val/."""
    if not bench.quick:
        return Path(demo_data.__file__).parent / "images"
    root = bench.scratch / "images"
    return root if root.exists() else draw_images(root, train=24, val=8, size=72)
