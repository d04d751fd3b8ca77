"""Measure the range of a dataset whose images have more than 8 bits per pixel.

Such images are scaled to 8 bits by one range for the whole dataset: 12-bit data in 16-bit files
would be black if it was scaled by the range of 16 bits, and scaling each image by its own range
would remove differences in brightness between images.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from engine.data.conversion.image_kinds import deep_kind, measured_values, nodata_of
from engine.data.conversion.rgb_conversion import deep_values, zero_is_white
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
CROWDED = 0.99
"""A note is shown if this share of the values fills less than `NARROW` of the range."""
NARROW = 0.02


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
    """See `image_kinds.deep_kind`."""


@dataclass(frozen=True)
class _Read:
    """What was read of an image."""

    size: int
    """The number of its values."""
    values: np.ndarray
    """Evenly spaced finite values of it."""
    nodata: float | None
    """The value of pixels where nothing was measured; None if there are none."""
    inverted: bool
    """Whether zero means white."""


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
        read: list[_Read] = []
        for path in deep[:IMAGES]:
            if sum(one.size for one in read) > PIXELS:
                break
            with contextlib.suppress(Exception):  # unreadable: training will report it
                one = _read_values(path)
                read += [one] if len(one.values) else []
            yield None
        if read:
            values = np.sort(np.concatenate([one.values for one in read]))
            ranges[kind] = limits = _limits(values)
            notes.append(_sentence(kind, limits, values, read, len(deep), len(headers)))
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
            return _Header(path, deep_kind(image))
    except Exception:  # unreadable: training will report it
        return None


def _read_values(path: str) -> _Read:
    with Image.open(path, formats=pillow_formats()) as image:
        _, values = deep_values(image, colour=True)
        measured = measured_values(image, values).ravel()
        nodata = nodata_of(image)
        if nodata is not None and not (values == nodata).any():
            nodata = None
        inverted = image.mode.startswith("I;16") and zero_is_white(image)
        step = max(1, -(-len(measured) // VALUES_PER_IMAGE))
        sample = measured[::step]
        return _Read(values.size, sample[np.isfinite(sample)], nodata, inverted)


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
    read: list[_Read],
    deep: int,
    headers: int,
) -> str:
    low, high = map(_number, limits)
    inverted = sum(one.inverted for one in read)
    ends = ("0", "255") if kind == "colour" else ("black", "white")
    if inverted == len(read):
        ends = ("white", "black")
    sentence = (
        f"{KINDS[kind]} are scaled by the range of the dataset: {low} becomes {ends[0]} and "
        f"{high} {ends[1]} "
        f"(measured on {len(read)} training image{'' if len(read) == 1 else 's'})."
    )
    if 0 < inverted < len(read):
        sentence += f" The {inverted} whose zero means white are inverted after that."
    if values[0] < limits[0] or values[-1] > limits[1]:
        sentence += (
            f" Values beyond it are clipped; in these images they go from {_number(values[0])} to "
            f"{_number(values[-1])}."
        )
    sentence += _nodata_sentence(limits, ends, read, mixed=0 < inverted < len(read))
    sentence += _crowded_sentence(limits, values)
    if deep < headers:
        sentence += (
            f" Of {headers:,} training images looked at, {deep:,} "
            f"{'is' if deep == 1 else 'are'} of this kind; other kinds are not scaled by it."
        )
    return sentence


def _nodata_sentence(
    limits: tuple[float, float], ends: tuple[str, str], read: list[_Read], *, mixed: bool
) -> str:
    """Return what becomes of the values that mean that nothing was measured."""
    found = sorted({one.nodata for one in read if one.nodata is not None})
    if not found:
        return ""
    if len(found) > 1 or mixed or limits[0] < found[0] < limits[1]:
        becomes = "is scaled as the others are"
    else:
        becomes = f"becomes {ends[found[0] >= limits[1]]}"
    named = ", ".join(map(_number, found[:3])) + (", ..." if len(found) > 3 else "")
    return f" The nodata value of TIFF files ({named}) is not measured; it {becomes}."


def _crowded_sentence(limits: tuple[float, float], values: np.ndarray) -> str:
    """Return where almost all values are, if that is a small part of the range."""
    count = math.ceil(CROWDED * len(values))
    widths = values[count - 1 :].astype(np.float64) - values[: len(values) - count + 1]
    first = int(widths.argmin())
    if widths[first] >= NARROW * (limits[1] - limits[0]):
        return ""
    start, end = _number(values[first]), _number(values[first + count - 1])
    if start == end:
        return f" {CROWDED:.0%} of the values are {start}."
    return f" {CROWDED:.0%} of the values fill less than {NARROW:.0%} of it: {start} to {end}."


def _number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{float(value):.4g}"


def _note_on_unread(headers: list[_Header]) -> list[str]:
    count = sum(header.kind == "unread" for header in headers)
    if not count:
        return []
    return [
        f"{count:,} of {len(headers):,} training images looked at have 16 bits per channel, and "
        "Pillow reads only the upper 8 of them. If the values fill only a part of the range, "
        "convert these images to 8 bits first."
    ]
