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
    "colour" for 16 bits per colour channel (if these are wanted, or one colour is transparent), and
    "" for other images, whose values are not returned.
    """
    if image.format != "HEIF":  # which opens at its primary image
        image.seek(0)
    prepare(image)
    keyed = isinstance(image.info.get("transparency"), tuple)  # a colour that is transparent
    colours = colour_values(image) if colour or keyed else None
    load(image)
    if colours is not None:
        return "colour", colours
    values = np.asarray(image)
    if image.mode == "I" and number_format(image) == (32, 1):
        values = values.view(np.uint32)  # Pillow has no unsigned mode of 32 bits
    if image.mode == "F":
        return "float", values
    return ("integer", values) if image.mode.startswith("I") else ("", np.empty(0))


def number_format(image: Image.Image) -> tuple[int, int]:
    """Return the bits and the sample format (1: unsigned, 2: signed) of a TIFF; else zeros."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return 0, 0
    return int(tags.get(258, (1,))[0]), int(tags.get(339, (1,))[0])


def prepare(image: ImageFile.ImageFile) -> None:
    """Name the raw modes of TIFF files that Pillow reads wrongly.

    These are uncompressed files that store one channel after the other, of whose modes it takes
    the first letter only; and compressed big-endian ones, which libtiff returns in native order.
    """
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return
    native = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}
    bits, _ = number_format(image)
    one_by_one = tags.get(284) == 2 and (bits not in (1, 8) or zero_is_white(image))
    tiles = []
    for tile in image.tile:
        mode, *more = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if tile[0] == "libtiff":
            mode = native.get(mode, mode)
        elif one_by_one and tile[0] == "raw" and ";16" not in mode:
            if bits == 16 and mode in ("R", "G", "B", "A"):
                mode += ";16B" if tags.prefix == b"MM" else ";16L"
            elif (bits, tags.prefix) != (32, b"II"):
                raise ValueError("it is a TIFF file of separate channels that Pillow reads wrongly")
        tiles.append(tile._replace(args=(mode, *more)))
    image.tile = tiles


def load(image: ImageFile.ImageFile) -> None:
    """Load an opened image.

    Pillow maps some files into memory, and then scrambles those that must be turned by 90 degrees.
    It does not map an image without a file name.
    """
    if getattr(image, "tag_v2", {}).get(274) not in (5, 6, 7, 8):
        image.load()
        return
    name, image.filename = image.filename, ""
    try:
        image.load()
    finally:
        image.filename = name


def colour_tiles(image: ImageFile.ImageFile) -> list:
    """Return the tiles of an opened image with 16 bits per colour channel, in the other byte order.

    Pillow reads the upper bytes of such an image, and with these tiles the lower ones. The list is
    empty for other images, and where Pillow cannot read the lower bytes.
    """
    other = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
    tags = getattr(image, "tag_v2", {})
    tiles = []
    for tile in getattr(image, "tile", []):
        mode, *more = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        channels, deep, order = str(mode).partition(";16")
        separate = tags.get(284) == 2
        known = ("R", "G", "B", "A") if separate else ("RGB", "RGBA", "RGBX")
        if not deep or channels not in known or order not in other:
            return []
        mode = channels + deep + other[order]
        tiles.append(tile._replace(args=(mode, *more) if more else mode))
    return tiles


def colour_values(image: ImageFile.ImageFile) -> np.ndarray | None:
    """Return the values of an opened image with 16 bits per colour channel; else None."""
    largest = deep_ppm(image)
    if largest:
        width, height = image.size
        start = image.tile[0][2]
        with open(image.filename, "rb") as file:
            file.seek(start)
            content = file.read(6 * width * height)
        if len(content) < 6 * width * height:
            raise OSError("image file is truncated")
        values = np.frombuffer(content, ">u2").reshape(height, width, 3)
        values = np.minimum(values, largest) * (65535 / largest)  # as Pillow reads grey levels
        return values.round().astype(np.uint16)
    tiles = colour_tiles(image)
    if not tiles:
        return None
    image.load()
    with Image.open(image.filename) as lower:
        lower.tile = tiles
        return np.asarray(image).astype(np.uint16) * 256 + np.asarray(lower)


def deep_ppm(image: ImageFile.ImageFile) -> int:
    """Return the largest value of a binary PPM with more than 8 bits per channel; else 0."""
    for codec, _, _, args in getattr(image, "tile", []):
        if codec == "ppm" and image.mode == "RGB" and args[1] > 255:
            return int(args[1])
    return 0


def convert(image: Image.Image, kind: str, values: np.ndarray, ranges: dict) -> Image.Image:
    """Return a loaded image as 8-bit RGB, with its kind and values from deep_values."""
    try:
        orientation = int(image.getexif().get(0x0112, 1))
    except Exception:  # the EXIF data is damaged, but the image may not be
        orientation = 1
    if kind == "colour":
        image = Image.fromarray(colour_pixels(image, values, ranges))
    elif kind:
        image = Image.fromarray(to_8_bit(image, kind, values, ranges))
    elif image.mode == "L" and number_format(image) == (8, 2):
        image = Image.fromarray(np.asarray(image) ^ np.uint8(128))  # -128 becomes 0, 127 255
    if image.has_transparency_data or image.mode in ("La", "PA"):
        if image.mode == "La":
            image = image.convert("LA")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    if orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[orientation])
    return without_outliers(image)


def colour_pixels(image: Image.Image, values: np.ndarray, ranges: dict) -> np.ndarray:
    """Return a loaded image with 16 bits per colour channel as 8 bits: RGB or RGBA.

    Without a range, the channels keep their upper byte.
    """
    pixels = np.asarray(image).copy()  # the transparency of RGBA is already right
    if "colour" in ranges:
        pixels[..., :3] = scale(values[..., :3], *ranges["colour"])
    transparent = image.info.get("transparency")
    if isinstance(transparent, tuple):
        opaque = (values[..., :3] != transparent).any(axis=2)
        pixels = np.dstack([pixels[..., :3], np.uint8(255) * opaque])
    return pixels


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
        if zero_is_white(image):
            grey = 255 - grey
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            grey = np.where(values == transparent, np.uint8(255), grey)
    return grey


def zero_is_white(image: Image.Image) -> bool:
    """Return whether an image is a TIFF in which zero means white."""
    return getattr(image, "tag_v2", {}).get(262) == 0


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
