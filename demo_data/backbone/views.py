"""The augmented views that teacher and student both see."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def batch(pool: np.ndarray, size: int, side: int, random: np.random.Generator) -> Tensor:
    """A batch of views: shifted, flipped and changed in contrast and brightness.

    Args:
        pool: Crops [M, S, S, 3] uint8.
        size: N.
        side: Of the views in pixels, at most S.
        random: Everything drawn comes from here.

    Returns:
        [N, 3, side, side] in 0..1, channels last.
    """
    rows = random.integers(len(pool), size=size)
    room = pool.shape[1] - side
    views = np.empty((size, side, side, 3), np.uint8)
    for index, row in enumerate(rows):
        x, y = random.integers(room + 1, size=2)
        view = pool[row, y : y + side, x : x + side]
        views[index] = view[:, ::-1] if random.random() < 0.5 else view
    pixels = torch.from_numpy(views).permute(0, 3, 1, 2).float().div_(255)
    contrast = _column(random.uniform(0.7, 1.3, size))
    brightness = _column(random.uniform(-0.15, 0.15, size))
    middle = pixels.mean((1, 2, 3), keepdim=True)
    pixels = (pixels - middle).mul_(contrast).add_(middle + brightness).clamp_(0, 1)
    return pixels.contiguous(memory_format=torch.channels_last)


def _column(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1)
