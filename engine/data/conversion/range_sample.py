"""Measure the range of a dataset whose images have more than 8 bits per pixel.

Such images are scaled to 8 bits by one range for the whole dataset: 12-bit data in 16-bit files
would be black if it was scaled by the range of 16 bits, and scaling each image by its own range
would remove differences in brightness between images.
"""

from __future__ import annotations

import contextlib
import os
import random
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from engine.data.conversion.rgb_conversion import deep_values
from engine.data.conversion.value_ranges import Ranges
from engine.data.decoding import pillow_formats
from engine.data.samples import Sample

KINDS = {
    "integer": "Grey images with more than 8 bits per pixel",
    "float": "Floating-point images",
    "colour": "Colour images with 16 bits per channel",
}
HEADERS = 400
"""The number of headers read at most."""
EIGHT_BIT_ENDINGS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp"})
"""The endings of formats that have at most 8 bits per pixel and channel."""
EIGHT_BIT_HEADERS = 16
"""The number of headers read at most of files with such an ending, because an ending can be
wrong."""
IMAGES = 64
"""The number of images of one kind that are decoded at most."""
PIXELS = 2**26
"""The number of pixels after which no more images are decoded."""
VALUES_PER_IMAGE = 2**16
"""The number of values taken from an image at most, evenly spaced."""
TAIL = 1e-4
"""The share of the values at either end that may be outside the range, so that a few defective
pixels do not determine it."""
GDAL_NODATA = 42113
"""The TIFF tag with the value that means: nothing was measured here."""


@dataclass(frozen=True)
class MeasuredRanges:
    """The ranges of a dataset; empty if no image with more than 8 bits per pixel was found."""

    ranges: Ranges
    notes: tuple[str, ...] = ()
    """Sentences that say what was found and chosen."""


@dataclass(frozen=True)
class _Header:
    path: str
    kind: str
    """As in `rgb_conversion.deep_values`; `unread` for other images with 16 bits per channel."""


def measure_ranges(samples: Sequence[Sample], seed: int) -> Iterator[MeasuredRanges | None]:
    """Measure the ranges of a seeded sample of images.

    Only headers are read unless there are images with more than 8 bits per pixel.

    Args:
        samples: The training images.
        seed: Random seed of the sample.

    Yields:
        None after each unit of work, and at last the ranges.
    """
    paths = _choose_paths(samples, seed)
    headers: list[_Header] = []
    with ThreadPoolExecutor(8, thread_name_prefix="headers") as pool:
        for first in range(0, len(paths), 50):
            found = pool.map(_read_header, paths[first : first + 50])
            headers += [header for header in found if header is not None]
            yield None
    ranges: Ranges = {}
    notes: list[str] = []
    for kind in KINDS:
        deep = [header.path for header in headers if header.kind == kind]
        parts: list[np.ndarray] = []
        pixels = 0
        for path in deep[:IMAGES]:
            if pixels > PIXELS:
                break
            with contextlib.suppress(Exception):  # unreadable: training will report it
                size, values = _read_values(path)
                pixels += size
                parts += [values] if len(values) else []
            yield None
        if parts:
            values = np.sort(np.concatenate(parts))
            ranges[kind] = limits = _limits(values)
            notes.append(_sentence(kind, limits, values, len(parts), len(deep), len(headers)))
    yield MeasuredRanges(ranges, (*notes, *_note_on_unread(headers)))


def _choose_paths(samples: Sequence[Sample], seed: int) -> list[str]:
    count = min(len(samples), 10 * HEADERS)
    order = random.Random(f"{seed} ranges").sample(range(len(samples)), count)
    maybe_deep: list[str] = []
    others: list[str] = []
    for index in order:
        path = samples[index].path
        shallow = os.path.splitext(path)[1].lower() in EIGHT_BIT_ENDINGS
        (others if shallow else maybe_deep).append(path)
    return maybe_deep[: HEADERS - EIGHT_BIT_HEADERS] + others[:EIGHT_BIT_HEADERS]


def _read_header(path: str) -> _Header | None:
    """Return what the header of an image says; None if it cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a named pipe would block
            return None
        with Image.open(path, formats=pillow_formats()) as image:
            return _Header(path, _kind(image))
    except Exception:  # unreadable: training will report it
        return None


def _kind(image: Image.Image) -> str:
    if image.mode == "F" or image.mode.startswith("I"):
        return "float" if image.mode == "F" else "integer"
    for tile in getattr(image, "tile", []):
        mode = str(tile[3][0] if isinstance(tile[3], tuple) else tile[3])
        if ";16" in mode:
            return "colour" if mode.startswith(("RGB;", "RGBA;", "RGBX;")) else "unread"
    return ""


def _read_values(path: str) -> tuple[int, np.ndarray]:
    """Return the number of pixels of an image, and evenly spaced finite values of them."""
    with Image.open(path, formats=pillow_formats()) as image:
        _, values = deep_values(image, colour=True)
        values = (values[..., :3] if values.ndim == 3 else values).ravel()
        size = len(values)
        values = values[:: -(-size // VALUES_PER_IMAGE)]
        missing = [image.info.get("transparency")]
        with contextlib.suppress(Exception):
            missing.append(float(image.tag_v2[GDAL_NODATA]))  # type: ignore[attr-defined]
        values = values[np.isfinite(values)]
        for value in missing:
            if isinstance(value, (int, float)):
                values = values[values != value]
    return size, values


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Return the range of sorted values without their tails."""
    outside = int(TAIL * len(values))
    low, high = values[outside].item(), values[-1 - outside].item()
    if low == high:
        low, high = values[0].item(), values[-1].item()
    return low, high if high > low else low + 1


def _sentence(
    kind: str,
    limits: tuple[float, float],
    values: np.ndarray,
    measured: int,
    deep: int,
    headers: int,
) -> str:
    low, high = map(_number, limits)
    sentence = (
        f"{KINDS[kind]} are scaled by the range of the dataset: {low} becomes "
        f"{'black' if kind != 'colour' else 0} and {high} {'white' if kind != 'colour' else 255} "
        f"(measured on {measured} training image{'' if measured == 1 else 's'})."
    )
    if values[0] < limits[0] or values[-1] > limits[1]:
        sentence += (
            f" Values beyond it are clipped; in these images they go from {_number(values[0])} to "
            f"{_number(values[-1])}."
        )
    if deep < headers:
        sentence += (
            f" Of {headers:,} training images looked at, {deep:,} "
            f"{'is' if deep == 1 else 'are'} of this kind; other kinds are not scaled by it."
        )
    return sentence


def _number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{float(value):.4g}"


def _note_on_unread(headers: list[_Header]) -> list[str]:
    count = sum(header.kind == "unread" for header in headers)
    if not count:
        return []
    return [
        f"{count:,} of {len(headers):,} training images looked at have 16 bits per channel in a "
        "form of which Pillow reads only the upper 8; if their values fill a part of the range "
        "only, convert them to 8 bits first."
    ]
