"""One image file as the model's transform takes it: 8-bit RGB, upright, the first frame."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from torch import Tensor

Transform = Callable[[Image.Image], Tensor]
"""An RGB image to a normalised tensor [3, size, size]."""


class UnreadableImage(Exception):
    """An image cannot be decoded; the text says why."""


def read_rgb(path: str | os.PathLike[str]) -> Image.Image:
    """The image as 8-bit RGB, upright, first frame.

    16-bit images are scaled by their mode's range: Pillow's own conversion would clip them white.

    Raises:
        UnreadableImage: missing, truncated, or no image.
    """
    try:
        with Image.open(path) as image:
            image.seek(0)
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):
                return Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8)).convert("RGB")
            if upright.mode in ("I", "F"):
                return _scaled(np.asarray(upright)).convert("RGB")
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                upright = upright.convert("RGBA")
                white = Image.new("RGBA", upright.size, "white")
                return Image.alpha_composite(white, upright).convert("RGB")
            return upright.convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, EOFError) as error:
        raise UnreadableImage(str(error) or type(error).__name__) from error
    except Image.DecompressionBombError as error:
        raise UnreadableImage("it is larger than Pillow agrees to open") from error


def _scaled(values: np.ndarray) -> Image.Image:
    """A 32-bit image: 0 to 1 if it is a float within that, else 0 to 65,535."""
    top = 1.0 if values.dtype.kind == "f" and values.max(initial=0) <= 1.0 else 65535.0
    return Image.fromarray((values.clip(0, top) / top * 255).astype(np.uint8))


ImageFile.LOAD_TRUNCATED_IMAGES = False  # half an image is not an image
