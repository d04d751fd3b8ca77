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
from PIL import Image, ImageFile, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms._presets import ImageClassification

from engine.data.conversion.image_kinds import is_cut_to_8_bits, measured_values
from engine.data.conversion.rgb_conversion import convert, deep_values
from engine.data.conversion.value_ranges import NO_RANGES, ClippedValues, Ranges

Transform = Callable[[Image.Image], Tensor]
"""Turns an RGB image into a normalised tensor, [3, size, size]."""

NOT_OPENED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"})
"""Formats that are not opened: Pillow only recognises them, decodes them on some systems alone, or
runs Ghostscript, which an image of unknown origin must not be able to start."""
HEIF_ENDINGS = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
"""The endings of images in the HEIF format, in which most phones save photographs."""
AMPLE = 64 * 2**20
"""The number of pixels that fit into the memory of any machine. If a smaller image runs out of
memory, the image is not the cause."""


class UnreadableImage(Exception):
    """An image cannot be decoded. The message says why, as a clause that starts with `it`."""


@cache
def pillow_formats() -> tuple[str, ...]:
    """Return the names of the formats that are opened."""
    Image.init()
    return tuple(name for name in Image.OPEN if name not in NOT_OPENED)


@cache
def image_endings() -> frozenset[str]:
    """Return the file extensions that may be images, in lower case, such as `.jpg`."""
    endings = Image.registered_extensions()
    return frozenset(ending for ending, name in endings.items() if name in pillow_formats())


@cache
def _formats_with_signature() -> tuple[str, ...]:
    """Return the formats that begin with a signature; others take any bytes for an image."""
    return tuple(name for name in pillow_formats() if Image.OPEN[name][1] is not None)


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


def read_rgb(
    path: str | os.PathLike[str],
    ranges: Ranges = NO_RANGES,
    clipped: ClippedValues | None = None,
) -> Image.Image:
    """Return an image as 8-bit RGB: upright, first frame only, transparency on white.

    The format is found from the content, not from the file name. Of an extremely elongated image,
    only the middle is returned.

    Args:
        path: The file.
        ranges: The ranges by which images with more than 8 bits per pixel are scaled.
        clipped: Counts the values that are beyond these ranges.

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
        with Image.open(path, formats=pillow_formats()) as image:
            pixels = image.width * image.height
            cut = clipped is not None and is_cut_to_8_bits(image)
            kind, values = deep_values(image, colour="colour" in ranges)
            if kind == "float" and not np.isfinite(values).any():
                raise UnreadableImage("not one of its values is a finite number")
            if clipped is not None and kind in ranges:
                clipped.add(os.fspath(path), measured_values(image, values), ranges[kind])
            elif clipped is not None and (kind or cut):
                clipped.add_without_range(os.fspath(path), values)
            return convert(image, kind, values, ranges)
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


ImageFile.LOAD_TRUNCATED_IMAGES = False  # a truncated image is an error
# Before any thread iterates over the formats; images are decoded by a pool of threads already.
pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False)
