"""One image file as the model's transform takes it: 8-bit RGB, upright, the first frame."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms._presets import ImageClassification

Transform = Callable[[Image.Image], Tensor]
"""An RGB image to a normalised tensor [3, size, size]."""

NOT_OPENED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"})
"""Formats that Pillow only recognises, draws on some systems, or hands to Ghostscript, a program
that no image of unknown origin should be able to start."""
LONGEST = 32
"""The longer side over the shorter one, beyond which the far ends are left out: a transform makes
the shorter side as long as a crop, and the longer one in proportion."""
AMPLE = 64 * 2**20
"""Pixels that every machine has room for; that there is none says nothing of the image."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientations."""


class UnreadableImage(Exception):
    """An image cannot be decoded; the text says why."""


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.OPEN if name not in NOT_OPENED)


@cache
def image_endings() -> frozenset[str]:
    """Endings of files that may be images, in small letters, such as `.jpg`."""
    endings = Image.registered_extensions()
    return frozenset(ending for ending, name in endings.items() if name in _formats())


def read_rgb(path: str | os.PathLike[str]) -> Image.Image:
    """The image as 8-bit RGB, upright, first frame, transparency on white.

    The content decides what it is, not the name. 16-bit images are scaled by their mode's range:
    Pillow's own conversion would clip them white.

    Raises:
        UnreadableImage: missing, no file, empty, truncated, too large, or no image.
        MemoryError: there is none left, not even for an image of usual size.
    """
    pixels = 0
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # a named pipe would be waited for
            raise UnreadableImage("it is no file")
        if status.st_size == 0:
            raise UnreadableImage("it is empty")
        with Image.open(path, formats=_formats()) as image:
            pixels = image.width * image.height
            image.seek(0)
            image.load()
            return _rgb(image, _orientation(image))
    except UnreadableImage:
        raise
    except FileNotFoundError as error:
        raise UnreadableImage("there is no such file") from error
    except PermissionError as error:
        raise UnreadableImage("it may not be read") from error
    except UnidentifiedImageError as error:
        raise UnreadableImage("it is no image that Pillow can read") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImage("it is larger than Pillow agrees to open") from error
    except MemoryError as error:
        if pixels <= AMPLE:
            raise  # the memory is at fault, not the image
        raise UnreadableImage(f"its {pixels:,} pixels need more memory than there is") from error
    except Exception as error:  # a damaged file can raise anything in a decoder
        raise UnreadableImage(str(error) or type(error).__name__) from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data in an image that is whole
        return 1


def _rgb(image: Image.Image, orientation: int) -> Image.Image:
    if image.mode.startswith("I;16"):
        rgb = _from_16_bit(image)
    elif image.mode in ("I", "F"):
        rgb = _scaled(np.asarray(image)).convert("RGB")
    elif image.has_transparency_data or image.mode in ("La", "PA"):
        if image.mode == "La":
            image = image.convert("LA")
        over = image.convert("RGBA")
        rgb = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    else:
        rgb = image.convert("RGB")
    return rgb.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else rgb


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    grey = (values >> 8).astype(np.uint8)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _white_is_zero(image):
        grey = 255 - grey
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey = np.where(values == clear, np.uint8(255), grey)
    return Image.fromarray(grey).convert("RGB")


def _white_is_zero(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Pillow turns such an image round if it has 8 bits, and leaves one of 16 bits as it is."""
    return image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0


def _scaled(values: np.ndarray) -> Image.Image:
    """A 32-bit image by the least range that holds it.

    That is 0 to 1 (floats only), 0 to 255 (floats only), 0 to 65,535, or else 0 to its maximum.
    """
    floats = [1.0, 255.0] if values.dtype.kind == "f" else []
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    most = float(values.max(initial=0.0))
    top = next((top for top in [*floats, 65535.0] if most <= top), most)
    return Image.fromarray((values.clip(0, top) / top * 255).astype(np.uint8))


def normalised(pixels: Tensor, preset: ImageClassification) -> Tensor:
    """Pixels [3, height, width] uint8 as a preset hands them to the model, in floats.

    The preset's own arithmetic, to the bit, but in NumPy: torch's would bring a team of OpenMP
    threads to every thread that decodes, and take the cores from the step that runs.
    """
    floats = np.true_divide(pixels.numpy(), 255, dtype=np.float32)
    floats -= np.asarray(preset.mean, np.float32)[:, None, None]
    floats /= np.asarray(preset.std, np.float32)[:, None, None]
    return torch.from_numpy(floats)


def without_outliers(image: Image.Image) -> Image.Image:
    """The middle of an image that is far longer than wide; any other one as it is.

    A strip of one by a hundred thousand pixels would be blown up to gigabytes by a resize of its
    shorter side, of which a centre crop shows next to nothing.
    """
    width, height = image.size
    most = LONGEST * min(width, height)
    if max(width, height) <= most:
        return image
    left, top = max(0, (width - most) // 2), max(0, (height - most) // 2)
    return image.crop((left, top, min(width, left + most), min(height, top + most)))


ImageFile.LOAD_TRUNCATED_IMAGES = False  # half an image is not an image
