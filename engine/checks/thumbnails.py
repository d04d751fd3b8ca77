"""Thumbnails of the images that the model gets, from their normalised tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms._presets import ImageClassification


def thumbnail_of(image: Tensor, preset: ImageClassification, side: int) -> tuple[int, int, bytes]:
    """Make a thumbnail of an image as the model gets it.

    Args:
        image: [3, height, width], normalised with the preset's mean and standard deviation.
        preset: The transform that belongs to the weights.
        side: Length of the thumbnail's longer edge in pixels.

    Returns:
        Width, height, and the RGB bytes, row by row from the top.
    """
    mean = torch.tensor(preset.mean).view(3, 1, 1)
    std = torch.tensor(preset.std).view(3, 1, 1)
    visible = image.detach().cpu().float() * std + mean
    _, height, width = visible.shape
    scale = side / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = F.interpolate(visible[None], size, mode="bilinear", antialias=True)[0]
    pixels = (small.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    return size[1], size[0], pixels.numpy().tobytes()
