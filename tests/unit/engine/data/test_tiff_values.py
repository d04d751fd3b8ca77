"""Values of TIFF, PPM and PNG files that Pillow alone reads wrongly, or of which it drops bits."""

from __future__ import annotations

import struct
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.conversion.range_sample import measure_ranges
from engine.data.conversion.value_ranges import ClippedValues
from engine.data.decoding import read_rgb
from engine.data.samples import Sample
from tests.support.odd_images import write_16_bit_png
from tui.text.clipped_values import clipped_sentence

FORMATS = {"u": 1, "i": 2, "f": 3}
RANGE = {"integer": (0.0, 1000.0), "float": (0.0, 1000.0), "colour": (0.0, 1000.0)}


def write_tiff(
    path: Path,
    values: np.ndarray,
    *,
    separate: bool = False,
    compressed: bool = False,
    orientation: int = 1,
    order: str = "<",
    zero_is_white: bool = False,
    nodata: str = "",
) -> None:
    """Write a TIFF file of any layout, [height, width] or [height, width, channels]."""
    height, width, *more = values.shape
    channels = more[0] if more else 1
    planes = np.moveaxis(values, -1, 0) if separate and more else values[None]
    pixels = planes.astype(values.dtype.newbyteorder(order))
    strips = [plane.tobytes() for plane in pixels]
    if compressed:
        strips = [zlib.compress(strip) for strip in strips]
    bits = 8 * values.dtype.itemsize
    photometric = 2 if channels > 1 else 0 if zero_is_white else 1
    starts = [8 + sum(map(len, strips[:index])) for index in range(len(strips))]
    shorts = {
        256: [width],
        257: [height],
        258: [bits] * channels,
        259: [8 if compressed else 1],
        262: [photometric],
        274: [orientation],
        277: [channels],
        278: [height],
        284: [2 if separate else 1],
        339: [FORMATS[values.dtype.kind]] * channels,
    }
    entries = [(tag, 3, struct.pack(f"{order}{len(v)}H", *v)) for tag, v in shorts.items()]
    entries.append((273, 4, struct.pack(f"{order}{len(starts)}I", *starts)))
    entries.append((279, 4, struct.pack(f"{order}{len(strips)}I", *map(len, strips))))
    if nodata:
        entries.append((42113, 2, nodata.encode() + b"\0"))
    entries.sort()
    directory = 8 + sum(map(len, strips))
    extra = directory + 2 + 12 * len(entries) + 4
    table, tail = struct.pack(f"{order}H", len(entries)), b""
    for tag, kind, content in entries:
        count = len(content) // {2: 1, 3: 2, 4: 4}[kind]
        if len(content) > 4:
            where = struct.pack(f"{order}I", extra + len(tail))
            tail += content
        else:
            where = content.ljust(4, b"\0")
        table += struct.pack(f"{order}HHI", tag, kind, count) + where
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HI", 42, directory)
    path.write_bytes(head + b"".join(strips) + table + b"\0\0\0\0" + tail)


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    return {1: values, 5: values.swapaxes(0, 1), 6: np.rot90(values, -1), 8: np.rot90(values)}[
        orientation
    ]


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4"])
def test_grey_tiff_files_of_every_layout_are_read_right(dtype: str, tmp_path: Path) -> None:
    top = 255 if dtype == "u1" else 1000
    values = np.random.default_rng(0).integers(0, top + 1, (7, 12)).astype(dtype)
    path = tmp_path / "a.tif"
    for compressed, orientation, order in product((False, True), (1, 5, 6, 8), "<>"):
        write_tiff(path, values, compressed=compressed, orientation=orientation, order=order)
        expected = np.round(upright(values, orientation).astype(float) / top * 255)
        grey = np.asarray(read_rgb(path, RANGE))[..., 0]
        assert np.array_equal(grey, expected), (compressed, orientation, order)


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits_in_separate_planes_are_read_right(
    channels: int, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).integers(0, 1001, (7, 12, channels)).astype(np.uint16)
    values[..., 3:] = 65535
    path = tmp_path / "a.tif"
    options = product((False, True), (False, True), (1, 6), "<>")
    for separate, compressed, orientation, order in options:
        write_tiff(
            path,
            values,
            separate=separate,
            compressed=compressed,
            orientation=orientation,
            order=order,
        )
        turned = upright(values, orientation)[..., :3]
        upper = np.asarray(read_rgb(path))
        assert np.array_equal(upper, turned >> 8)
        rgb = np.asarray(read_rgb(path, RANGE))
        if separate and compressed:  # of these, the lower bytes cannot be read
            assert np.array_equal(rgb, upper)
        else:
            assert np.array_equal(rgb, np.round(turned / 1000.0 * 255))


def test_unsigned_and_signed_values_do_not_wrap(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", np.array([[0, 2**31, 2**32 - 1]], np.uint32))
    *_, measured = measure_ranges([Sample(str(tmp_path / "a.tif"), 0)], 0)
    assert measured is not None and measured.ranges == {"integer": (0, 2**32 - 1)}
    for ranges in ({}, measured.ranges):
        grey = np.asarray(read_rgb(tmp_path / "a.tif", ranges))[0, :, 0]
        assert grey.tolist() in ([0, 127, 255], [0, 128, 255])
    write_tiff(tmp_path / "b.tif", np.array([[-128, -1, 0, 127]], np.int8))
    assert np.asarray(read_rgb(tmp_path / "b.tif"))[0, :, 0].tolist() == [0, 127, 128, 255]


def test_the_note_says_which_end_is_white_and_what_becomes_of_nodata(tmp_path: Path) -> None:
    values = np.array([[0, 400, 500, 900]], np.uint16)
    write_tiff(tmp_path / "a.tif", values, zero_is_white=True, nodata="0")
    samples = [Sample(str(tmp_path / "a.tif"), 0)]
    *_, measured = measure_ranges(samples, 0)
    assert measured is not None and measured.ranges == {"integer": (400, 900)}
    assert "400 becomes white and 900 black" in measured.notes[0]
    assert "nodata value of TIFF files (0) is not measured; it becomes white" in measured.notes[0]
    grey = np.asarray(read_rgb(tmp_path / "a.tif", measured.ranges))[0, :, 0]
    assert grey.tolist() == [255, 255, 204, 0]
    write_tiff(tmp_path / "b.tif", values)
    *_, measured = measure_ranges([*samples, Sample(str(tmp_path / "b.tif"), 0)], 0)
    assert measured is not None and "0 becomes black and 900 white" in measured.notes[0]
    assert "The 1 whose zero means white are inverted after that" in measured.notes[0]


def test_a_range_of_which_most_is_empty_is_named(tmp_path: Path) -> None:
    values = (300 + np.arange(2000) % 6).astype(np.uint16).reshape(40, 50)
    values.flat[:3] = 200, 60000, 59000
    Image.fromarray(values).save(tmp_path / "a.png")
    *_, measured = measure_ranges([Sample(str(tmp_path / "a.png"), 0)], 0)
    assert measured is not None
    assert "99% of the values fill less than 2% of it: 300 to 305." in measured.notes[0]


def test_values_of_transparent_pixels_and_nodata_are_not_clipped_values(tmp_path: Path) -> None:
    grey = np.array([[0, 500, 900]], np.uint16)
    colour = np.full((1, 3, 3), 500, np.uint16)
    colour[0, 0] = 5000, 5001, 5002
    Image.fromarray(grey).save(tmp_path / "grey.png", transparency=0)
    write_16_bit_png(tmp_path / "colour.png", colour, 2, transparent=(5000, 5001, 5002))
    write_tiff(tmp_path / "nodata.tif", grey.astype(np.float32), nodata="0")
    clipped = ClippedValues()
    for path in sorted(tmp_path.iterdir()):
        limits = {kind: (400.0, 1000.0) for kind in RANGE}
        read_rgb(path, limits, clipped)
    assert clipped.report() is None


@pytest.mark.parametrize("ranges", [{}, RANGE])
def test_one_transparent_colour_of_16_bits_is_exact(ranges, tmp_path: Path) -> None:
    """Pillow alone compares its lower bytes with the upper ones of the pixels."""
    values = np.full((2, 3, 3), 500, np.uint16)
    values[0, 0] = 300, 301, 302
    values[0, 1] = 300, 301, 303
    write_16_bit_png(tmp_path / "a.png", values, 2, transparent=(300, 301, 302))
    rgb = np.asarray(read_rgb(tmp_path / "a.png", ranges))
    expected = np.round(values / 1000.0 * 255) if ranges else values >> 8
    expected[0, 0] = 255
    assert np.array_equal(rgb, expected)


@pytest.mark.parametrize("largest", [1000, 65535])
def test_ppm_files_with_more_than_8_bits_are_read_whole(largest: int, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 1001, (4, 5, 3)).astype(">u2")
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6\n5 4\n%d\n" % largest + values.tobytes())
    *_, measured = measure_ranges([Sample(str(path), 0)], 0)
    assert measured is not None
    low, high = measured.ranges["colour"]
    unit = 65535 / largest
    assert (low, high) == (round(values.min() * unit), round(values.max() * unit))
    expected = (values - float(values.min())) / float(values.max() - values.min()) * 255
    rgb = np.asarray(read_rgb(path, measured.ranges)).astype(float)
    assert np.abs(rgb - expected).max() < 0.51


def test_colours_that_lose_their_lower_byte_are_counted(tmp_path: Path) -> None:
    values = np.full((4, 4, 4), 900, np.uint16)
    write_16_bit_png(tmp_path / "rgb.png", values[..., :3], 2)
    write_16_bit_png(tmp_path / "grey-alpha.png", values[..., :2], 4)
    write_tiff(tmp_path / "separate.tif", values[..., :3], separate=True, compressed=True)
    (tmp_path / "a.ppm").write_bytes(b"P6\n4 4\n65535\n" + values[..., :3].tobytes())
    Image.new("RGB", (4, 4)).save(tmp_path / "8-bit.png")
    for ranges, count in (({}, 4), (RANGE, 2)):
        clipped = ClippedValues()
        for path in sorted(tmp_path.iterdir()):
            read_rgb(path, ranges, clipped)
        event = clipped.report()
        assert event is not None and event.without_range == count
        assert f"The run has no range for {count} images" in clipped_sentence(event)
