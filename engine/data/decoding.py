"""Decode an image file to 8-bit RGB: upright, first frame only, transparency on white."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import cache
from typing import BinaryIO

import numpy as np
import pillow_heif
import torch
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms._presets import ImageClassification

Transform = Callable[[Image.Image], Tensor]
"""Turns an RGB image into a normalised tensor, [3, size, size]."""

NOT_OPENED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"})
"""Formats that are not opened: Pillow only recognises them, decodes them on some systems alone, or
runs Ghostscript, which an image of unknown origin must not be able to start."""
HEIF_ENDINGS = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
"""The endings of images in the HEIF format, in which most phones save photographs."""
LONGEST = 32
"""The largest aspect ratio of an image that is kept whole. A transform resizes the shorter side,
and the longer side grows in proportion."""
AMPLE = 64 * 2**20
"""The number of pixels that fit into the memory of any machine. If a smaller image runs out of
memory, the image is not the cause."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that turns an image upright, by its EXIF orientation."""


class UnreadableImage(Exception):
    """An image cannot be decoded. The message says why, as a clause that starts with `it`."""


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.OPEN if name not in NOT_OPENED)


@cache
def image_endings() -> frozenset[str]:
    """Return the file extensions that may be images, in lower case, such as `.jpg`."""
    endings = Image.registered_extensions()
    return frozenset(ending for ending, name in endings.items() if name in _formats())


@cache
def _formats_with_signature() -> tuple[str, ...]:
    """Return the formats that begin with a signature; others take any bytes for an image."""
    return tuple(name for name in _formats() if Image.OPEN[name][1] is not None)


def looks_like_image(path: str) -> bool:
    """Return whether a file is an image by its first bytes; of HEIF, also whether it is whole.

    Nothing is decoded, so the file may still turn out to be damaged.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a named pipe would block
            return False
        with open(path, "rb") as file:
            if file.read(12)[4:8] == b"ftyp":
                return _boxes_are_whole(file)
        with Image.open(path, formats=_formats_with_signature()):
            return True
    except Exception:  # a damaged file can raise anything in a decoder
        return False


def _boxes_are_whole(file: BinaryIO) -> bool:
    """Return whether an ISO base media file describes an image and holds all of its boxes.

    Reference: ISO/IEC 14496-12, section 4.2: a box begins with its size, in 4 bytes, and its type;
    size 1 means that 8 more bytes hold the size, size 0 that the box is the last one.
    """
    end = file.seek(0, os.SEEK_END)
    at, types = 0, set()
    while at < end:
        file.seek(at)
        head = file.read(16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        elif size == 0:
            size = end - at
        if size < 8 or not kind.isascii() or b"\0" in kind:
            break
        types.add(kind)
        at += size
    return at <= end and b"meta" in types


def read_rgb(path: str | os.PathLike[str]) -> Image.Image:
    """Return an image as 8-bit RGB: upright, first frame only, transparency on white.

    The format is found from the content, not from the file name. 16-bit images are scaled by the
    range of their mode, because Pillow's own conversion would clip them to white.

    Raises:
        UnreadableImage: The file is missing, empty, truncated, too large, or not an image.
        MemoryError: There is not even enough memory for an image of usual size.
    """
    pixels = 0
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a named pipe would block
            raise UnreadableImage("it is not a regular file")
        if status.st_size == 0:
            raise UnreadableImage("it is empty")
        with Image.open(path, formats=_formats()) as image:
            pixels = image.width * image.height
            if image.format != "HEIF":  # which opens at its primary image
                image.seek(0)
            image.load()
            return _rgb(image, _orientation(image))
    except UnreadableImage:
        raise
    except FileNotFoundError as error:
        raise UnreadableImage("there is no such file") from error
    except PermissionError as error:
        raise UnreadableImage("you have no permission to read it") from error
    except UnidentifiedImageError as error:
        raise UnreadableImage("it is not an image that Pillow can read") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImage("it has more pixels than Pillow allows") from error
    except MemoryError as error:
        if pixels <= AMPLE:
            raise
        raise UnreadableImage(f"its {pixels:,} pixels need more memory than there is") from error
    except Exception as error:  # a damaged file can raise anything in a decoder
        raise UnreadableImage(str(error) or type(error).__name__) from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # the EXIF data is damaged, but the image may not be
        return 1


def _rgb(image: Image.Image, orientation: int) -> Image.Image:
    """Convert an image of any mode to 8-bit RGB and turn it upright."""
    if image.mode.startswith("I;16"):
        rgb = _from_16_bit(image)
    elif image.mode in ("I", "F"):
        rgb = _scaled(np.asarray(image)).convert("RGB")
    elif image.has_transparency_data or image.mode in ("La", "PA"):
        if image.mode == "La":
            image = image.convert("LA")
        rgba = image.convert("RGBA")
        rgb = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    else:
        rgb = image.convert("RGB")
    return rgb.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else rgb


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    grey = (values >> 8).astype(np.uint8)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _white_is_zero(image):
        grey = 255 - grey
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey = np.where(values == transparent, np.uint8(255), grey)
    return Image.fromarray(grey).convert("RGB")


def _white_is_zero(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Return whether 0 means white. Pillow inverts such images with 8 bits, but not with 16."""
    return image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0


def _scaled(values: np.ndarray) -> Image.Image:
    """Scale a 32-bit image to 8 bits by the smallest range that contains its values.

    The ranges are 0 to 1 and 0 to 255 (floats only), 0 to 65,535, and 0 to the maximum.
    """
    float_tops = [1.0, 255.0] if values.dtype.kind == "f" else []
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    maximum = float(values.max(initial=0.0))
    top = next((top for top in [*float_tops, 65535.0] if maximum <= top), maximum)
    return Image.fromarray((values.clip(0, top) / top * 255).astype(np.uint8))


def normalised(pixels: Tensor, preset: ImageClassification) -> Tensor:
    """Return pixels normalised by a preset.

    The result is bit-identical to the preset's own, but computed in NumPy: torch would start a
    team of OpenMP threads for every decoding thread and slow down the running step.

    Args:
        pixels: [3, height, width] uint8.
        preset: The transform of the weights, for mean and standard deviation.

    Returns:
        [3, height, width] float32.
    """
    floats = np.true_divide(pixels.numpy(), 255, dtype=np.float32)
    floats -= np.asarray(preset.mean, np.float32)[:, None, None]
    floats /= np.asarray(preset.std, np.float32)[:, None, None]
    return torch.from_numpy(floats)


def without_outliers(image: Image.Image) -> Image.Image:
    """Crop an extremely elongated image to its middle; return any other image unchanged.

    Resizing the shorter side of a strip of 1 × 100,000 pixels would take gigabytes, and a centre
    crop would show almost nothing of the result.
    """
    width, height = image.size
    longest = LONGEST * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, min(width, left + longest), min(height, top + longest)))


ImageFile.LOAD_TRUNCATED_IMAGES = False  # a truncated image is an error
# Before any thread iterates over the formats; images are decoded by a pool of threads already.
pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False)
