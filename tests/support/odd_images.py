"""Images of every mode and format that people have, with the same motif."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image


def _motif(number: int, side: int = 40) -> np.ndarray:
    """Return random colours, [side, side, 3], with a bright corner that shows how it is turned."""
    pixels = np.random.default_rng(number).integers(20, 200, (side, side + 6, 3), dtype=np.uint8)
    pixels[: side // 3, : side // 3] = 240
    return pixels


def _alpha(number: int) -> np.ndarray:
    pixels = _motif(number)
    alpha = np.linspace(0, 255, pixels.shape[1], dtype=np.uint8)
    return np.dstack([pixels, np.broadcast_to(alpha, pixels.shape[:2])])


def _deep(number: int) -> np.ndarray:
    """Return 12-bit grey levels, [height, width] uint16."""
    return (_motif(number)[..., 0].astype(np.uint16) << 4) + np.uint16(7)


def _rotated(path: Path, number: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(_motif(number)).save(path, quality=95, exif=exif)


def _palette(number: int) -> Image.Image:
    return Image.fromarray(_motif(number)).quantize(16)


def _animated(path: Path, number: int) -> None:
    frames = [Image.fromarray(_motif(number + other)) for other in (0, 50, 90)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)


def _white_is_zero(path: Path, number: int) -> None:
    Image.fromarray(_deep(number)).save(path)
    black_is_zero = bytes.fromhex("0601 0300 01000000 0100 0000")
    raw = path.read_bytes()
    assert raw.count(black_is_zero) == 1
    path.write_bytes(raw.replace(black_is_zero, bytes.fromhex("0601 0300 01000000 0000 0000")))


def write_16_bit_png(
    path: Path, values: np.ndarray, colour_type: int, *, transparent: tuple[int, ...] = ()
) -> None:
    """Write 16 bits per channel, which Pillow cannot.

    Args:
        path: The file.
        values: [height, width, channels] uint16.
        colour_type: 2 for RGB, 4 for grey and alpha, 6 for RGBA.
        transparent: The colour that is transparent, if any.
    """

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"tRNS", struct.pack(">3H", *transparent)) if transparent else b"")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def _image(make: Callable[[int], Image.Image], **options: object) -> Callable[[Path, int], None]:
    return lambda path, number: make(number).save(path, **options)


ODD: dict[str, Callable[[Path, int], None]] = {
    "alpha.png": _image(lambda n: Image.fromarray(_alpha(n))),
    "alpha.webp": _image(lambda n: Image.fromarray(_alpha(n)), lossless=True),
    "grey-alpha.png": _image(lambda n: Image.fromarray(_alpha(n)).convert("LA")),
    "palette.png": _image(_palette),
    "palette-clear.png": _image(_palette, transparency=3),
    "palette-translucent.png": _image(_palette, transparency=bytes(range(0, 256, 16))),
    "colour-key.png": _image(lambda n: Image.fromarray(_motif(n)), transparency=(240, 240, 240)),
    "16-bit.png": _image(lambda n: Image.fromarray(_deep(n))),
    "16-bit-clear.png": _image(lambda n: Image.fromarray(_deep(n)), transparency=3847),
    "16-bit.tif": _image(lambda n: Image.fromarray(_deep(n))),
    "16-bit-big-endian.tif": _image(lambda n: Image.fromarray(_deep(n).astype(">u2"))),
    "16-bit-white-is-zero.tif": _white_is_zero,
    "16-bit.pgm": _image(lambda n: Image.fromarray(_deep(n))),
    "16-bit-rgb.png": lambda path, n: write_16_bit_png(path, _motif(n).astype("u2") << 8, 2),
    "16-bit-rgba.png": lambda path, n: write_16_bit_png(path, _alpha(n).astype("u2") << 8, 6),
    "16-bit-colour-key.png": lambda path, n: write_16_bit_png(
        path, _motif(n).astype("u2") * 255, 2, transparent=(61200, 61200, 61200)
    ),
    "16-bit.ppm": lambda path, n: path.write_bytes(
        b"P6\n46 40\n65535\n" + (_motif(n).astype(">u2") * 200).tobytes()
    ),
    "32-bit.tif": _image(lambda n: Image.fromarray(_deep(n).astype(np.int32))),
    "float.tif": _image(lambda n: Image.fromarray(_deep(n).astype(np.float32) / 4096)),
    "cmyk.jpg": _image(lambda n: Image.fromarray(_motif(n)).convert("CMYK"), quality=95),
    "cmyk.tif": _image(lambda n: Image.fromarray(_motif(n)).convert("CMYK")),
    "rotated.jpg": _rotated,
    "one-bit.png": _image(lambda n: Image.fromarray(_motif(n)).convert("1")),
    "grey.jpg": _image(lambda n: Image.fromarray(_motif(n)).convert("L"), quality=95),
    "phone.heic": lambda path, n: pillow_heif.from_pillow(Image.fromarray(_motif(n))).save(path),
    "animated.gif": _animated,
    "animated.webp": _animated,
    "animated.png": _animated,
    "strip.png": _image(lambda n: Image.fromarray(_motif(n, 400)[:, :9])),
    "damaged-exif.jpg": _image(
        lambda n: Image.fromarray(_motif(n)), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"
    ),
}
"""Writes the image with a number to a path, by file name."""


def write_odd_images(root: Path) -> Path:
    """Write an image folder of two classes, each with every kind, in `train/` and `val/`."""
    for split, offset in (("train", 0), ("val", 1000)):
        for label in range(2):
            folder = root / split / f"class {label}"
            folder.mkdir(parents=True)
            for number, (name, write) in enumerate(ODD.items()):
                write(folder / name, offset + 100 * label + number)
    return root
