"""The augmented views that are shown to both the teacher and the student."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

DRAWN = 0.3
"""The share of the views that come from the pool of drawings."""
CUT_MIX = 0.25
"""The share of the views that get a rectangle of another view (CutMix, Yun et al.,
arXiv:1905.04899). No labels are mixed, because the teacher sees the same view."""


def batch(
    photographs: np.ndarray,
    drawings: np.ndarray,
    size: int,
    side: int,
    random: np.random.Generator,
) -> Tensor:
    """Return a batch of views with random shifts, flips, contrast, brightness and CutMix.

    Args:
        photographs: Crops of photographs [M, S, S, 3] uint8.
        drawings: Crops of drawings of the same size; `DRAWN` of the views come from them.
        size: The number of views N.
        side: The side of a view in pixels, at most S.
        random: The source of all random numbers.

    Returns:
        [N, 3, side, side] in 0..1, channels last.
    """
    room = photographs.shape[1] - side
    views = np.empty((size, side, side, 3), np.uint8)
    for index in range(size):
        pool = drawings if random.random() < DRAWN else photographs
        row = int(random.integers(len(pool)))
        x, y = random.integers(room + 1, size=2)
        view = pool[row, y : y + side, x : x + side]
        views[index] = view[:, ::-1] if random.random() < 0.5 else view
    pixels = torch.from_numpy(views).permute(0, 3, 1, 2).float().div_(255)
    contrast = _column(random.uniform(0.7, 1.3, size))
    brightness = _column(random.uniform(-0.15, 0.15, size))
    middle = pixels.mean((1, 2, 3), keepdim=True)
    pixels = (pixels - middle).mul_(contrast).add_(middle + brightness).clamp_(0, 1)
    before = pixels.clone()
    for mixed in np.flatnonzero(random.random(size) < CUT_MIX):
        other = int(random.integers(size))
        height, width = (int(value) for value in side * random.uniform(0.25, 0.75, 2))
        top, left = (int(random.integers(side - edge + 1)) for edge in (height, width))
        hole = (slice(None), slice(top, top + height), slice(left, left + width))
        pixels[int(mixed)][hole] = before[other][hole]
    return pixels.contiguous(memory_format=torch.channels_last)


def _column(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1)
