"""The kind of an image with more than 8 bits per channel, and which of its values were measured."""

from __future__ import annotations

import contextlib

import numpy as np
from PIL import Image, ImageFile

from engine.data.conversion.rgb_conversion import colour_tiles, deep_ppm, prepare

GDAL_NODATA = 42113
"""The TIFF tag with the value that means: nothing was measured here."""

PLAIN_FORMATS = frozenset({"BMP", "GIF", "JPEG", "MPO", "PNG", "WEBP"})
PLAIN_MODES = frozenset({"1", "CMYK", "L", "P", "RGB"})


def deep_kind(image: ImageFile.ImageFile) -> str:
    """Return the kind of an opened image that is not loaded yet.

    The kinds are those of `rgb_conversion.deep_values`. Another one, `unread`, is for images with
    16 bits per channel if Pillow reads only the upper 8 bits.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        return "float" if image.mode == "F" else "integer"
    with contextlib.suppress(ValueError):  # decoding will report it
        prepare(image)
    if deep_ppm(image) or colour_tiles(image):
        return "colour"
    for codec, _, _, args in getattr(image, "tile", []):
        mode, *more = args if isinstance(args, tuple) else (args,)
        if ";16" in str(mode) or (codec == "ppm_plain" and image.mode == "RGB" and more[0] > 255):
            return "unread"
    return ""


def is_plain(image: ImageFile.ImageFile) -> bool:
    """Return whether an opened image only has to be turned upright and converted to RGB.

    `rgb_conversion.to_rgb` does no more than that with such an image.
    """
    try:
        image.getexif()
    except Exception:  # the EXIF data is damaged
        return False
    return (
        image.format in PLAIN_FORMATS
        and image.mode in PLAIN_MODES
        and not image.has_transparency_data
        and not deep_kind(image)
        and max(image.size) <= 32 * min(image.size)
    )


def is_cut_to_8_bits(image: ImageFile.ImageFile) -> bool:
    """Return whether only the upper 8 bits of an opened image count if there is no range for it."""
    return deep_kind(image) in ("colour", "unread")


def nodata_of(image: Image.Image) -> float | None:
    """Return the value that a TIFF file has where nothing was measured; None if there is none."""
    try:
        return float(image.tag_v2[GDAL_NODATA])  # type: ignore[attr-defined]
    except Exception:  # no TIFF, no such tag, or no number
        return None


def measured_values(image: Image.Image, values: np.ndarray) -> np.ndarray:
    """Return the values of a loaded image without those of transparent pixels and nodata."""
    transparent = image.info.get("transparency")
    if values.ndim == 3:
        colours = values[..., :3]
        if values.shape[2] == 4:
            colours = colours[values[..., 3] != 0]
        elif isinstance(transparent, tuple):
            colours = colours[(colours != transparent).any(axis=2)]
        values = colours
    elif isinstance(transparent, int):
        values = values[values != transparent]
    nodata = nodata_of(image)
    return values if nodata is None else values[values != nodata]
