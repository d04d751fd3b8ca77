"""Convert an image of any mode to 8-bit RGB.

Training, `predict` and `evaluate` use these functions. Exported scripts and the README of an
exported model contain them (see `engine.export.preprocessing`), so that all of them give the same
pixels. They therefore need only the standard library, NumPy and Pillow.
"""

import sys

import numpy as np
from PIL import Image, ImageFile

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF orientation


def to_rgb(image: ImageFile.ImageFile, ranges: dict) -> Image.Image:
    """Return the first frame of an opened image as 8-bit RGB: upright, transparency on white.

    ranges: By kind of image, the values that become 0 and 255; see deep_values and scale.
    """
    kind, values = deep_values(image, colour="colour" in ranges)
    return convert(image, kind, values, ranges)


def deep_values(image: ImageFile.ImageFile, colour: bool) -> tuple[str, np.ndarray]:
    """Load the first frame of an opened image; return its kind and its values.

    The kind is "integer" for grey levels of more than 8 bits, "float" for floating-point ones,
    "colour" for 16 bits per colour channel (if these are wanted), and "" for other images, whose
    values are not returned.
    """
    if image.format != "HEIF":  # which opens at its primary image
        image.seek(0)
    lower = lower_bytes(image) if colour else None
    image.load()
    if lower is not None:
        return "colour", np.asarray(image).astype(np.uint16) * 256 + lower
    if image.mode == "F":
        return "float", np.asarray(image)
    return ("integer", np.asarray(image)) if image.mode.startswith("I") else ("", np.empty(0))


def lower_bytes(image: ImageFile.ImageFile) -> np.ndarray | None:
    """Return the lower byte of each value if an opened image has 16 bits per colour channel.

    Pillow reads only the upper bytes of such an image, or the lower ones in the other byte order.
    """
    other = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
    tiles = []
    for tile in getattr(image, "tile", []):
        mode, *more = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if not str(mode).startswith(("RGB;16", "RGBA;16", "RGBX;16")):
            return None
        mode = mode[:-1] + other[mode[-1]]
        tiles.append(tile._replace(args=(mode, *more) if more else mode))
    if not tiles:
        return None
    with Image.open(image.filename) as again:
        again.tile = tiles
        return np.asarray(again)


def convert(image: Image.Image, kind: str, values: np.ndarray, ranges: dict) -> Image.Image:
    """Return a loaded image as 8-bit RGB, with its kind and values from deep_values."""
    try:
        orientation = int(image.getexif().get(0x0112, 1))
    except Exception:  # the EXIF data is damaged, but the image may not be
        orientation = 1
    if kind == "colour":
        pixels = np.asarray(image).copy()  # the transparency is already right
        pixels[..., :3] = scale(values[..., :3], *ranges[kind])
        image = Image.fromarray(pixels)
    elif kind:
        image = Image.fromarray(to_8_bit(image, kind, values, ranges))
    if image.has_transparency_data or image.mode in ("La", "PA"):
        if image.mode == "La":
            image = image.convert("LA")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    return without_outliers(image)


def scale(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return values as 8 bits: low and less become 0, high and more become 255."""
    values = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    return ((values.clip(low, high) - low) / (high - low) * 255).round().astype(np.uint8)


def to_8_bit(image: Image.Image, kind: str, values: np.ndarray, ranges: dict) -> np.ndarray:
    """Return the grey levels of a loaded image as 8 bits.

    Without a range, 16 bits keep their upper byte, and 32 bits are scaled by the smallest usual
    range that contains the values of the image.
    """
    if kind in ranges:
        grey = scale(values, *ranges[kind])
    elif image.mode.startswith("I;16"):
        grey = (values >> 8).astype(np.uint8)
    else:
        numbers = np.nan_to_num(values.astype(np.float64), nan=0, posinf=0, neginf=0)
        largest = float(numbers.max(initial=0))
        tops = [1.0, 255.0, 65535.0, largest] if kind == "float" else [65535.0, largest]
        top = next(top for top in tops if largest <= top)
        grey = (numbers.clip(0, top) / top * 255).astype(np.uint8)
    if image.mode.startswith("I;16"):
        if getattr(image, "tag_v2", {}).get(262) == 0:  # a TIFF in which zero means white
            grey = 255 - grey
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            grey = np.where(values == transparent, np.uint8(255), grey)
    return grey


def without_outliers(image: Image.Image) -> Image.Image:
    """Crop an image that is over 32 times as long as wide to its middle; return others unchanged.

    Resizing the shorter side of 1 x 100,000 pixels would take gigabytes of memory.
    """
    width, height = image.size
    longest = 32 * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, min(width, left + longest), min(height, top + longest)))
