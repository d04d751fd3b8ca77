"""Images with more than 8 bits per pixel are scaled by one range for the whole dataset."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.data.conversion import range_sample
from engine.data.conversion.range_sample import MeasuredRanges, measure_ranges
from engine.data.conversion.rgb_conversion import scale
from engine.data.conversion.value_ranges import ClippedValues
from engine.data.decoding import read_rgb
from engine.data.samples import Sample
from tests.support.odd_images import write_16_bit_png


def measured(folder: Path, seed: int = 0) -> MeasuredRanges:
    samples = [Sample(str(path), 0) for path in sorted(folder.iterdir())]
    *_, result = measure_ranges(samples, seed)
    assert result is not None
    return result


def save(folder: Path, *images: np.ndarray, ending: str = "png") -> Path:
    folder.mkdir(exist_ok=True)
    for number, values in enumerate(images):
        Image.fromarray(values).save(folder / f"{number:02}.{ending}")
    return folder


def twelve_bit(number: int) -> np.ndarray:
    values = np.random.default_rng(number).integers(281, 2635, (48, 48), dtype=np.uint16)
    values.flat[:80] = [281, 2634] * 40
    return values


def test_the_range_is_that_of_the_values_and_is_reported(tmp_path: Path) -> None:
    result = measured(save(tmp_path / "a", *map(twelve_bit, range(6))))
    assert result.ranges == {"integer": (281, 2634)}
    assert "281 becomes black and 2,634 white (measured on 6 training images)" in result.notes[0]
    assert len(result.notes) == 1


@pytest.mark.parametrize(
    ("values", "ending", "ranges"),
    [
        (np.array([[-5, 7, 1_000_000]], np.int32), "tif", {"integer": (-5, 1_000_000)}),
        (np.array([[7, 9]], ">u2"), "tif", {"integer": (7, 9)}),
        (np.array([[7, 900]], np.uint16), "pgm", {"integer": (7, 900)}),
        (np.array([[-0.5, 2.25, np.nan, np.inf]], np.float32), "tif", {"float": (-0.5, 2.25)}),
        (np.full((3, 3), 900, np.uint16), "png", {"integer": (900, 901)}),
        (np.full((3, 3), np.nan, np.float32), "tif", {}),
        (np.array([[7, 9]], np.uint8), "png", {}),
    ],
)
def test_every_deep_mode_has_its_range(values, ending, ranges, tmp_path: Path) -> None:
    assert measured(save(tmp_path / "a", values, ending=ending)).ranges == ranges


def test_a_few_defective_pixels_do_not_determine_the_range(tmp_path: Path) -> None:
    images = [twelve_bit(number) for number in range(10)]
    images[3][5, 5] = 65535
    result = measured(save(tmp_path / "a", *images))
    assert result.ranges == {"integer": (281, 2634)}
    assert "clipped; in these images they go from 281 to 65,535" in result.notes[0]


def test_values_that_stand_for_nothing_measured_are_left_out(tmp_path: Path) -> None:
    values = np.array([[-9999, 0.25, 0.5]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={42113: "-9999"})
    Image.fromarray(np.array([[0, 40, 50]], np.uint16)).save(tmp_path / "b.png", transparency=0)
    assert measured(tmp_path).ranges == {"float": (0.25, 0.5), "integer": (40, 50)}


def test_other_kinds_and_unreadable_files_are_named_or_passed_over(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", twelve_bit(0), np.zeros((4, 4), np.uint8))
    write_16_bit_png(folder / "grey-alpha.png", np.full((4, 4, 2), 900, np.uint16), 4)
    (folder / "broken.png").write_bytes(b"no image")
    os.mkfifo(folder / "pipe.png")
    result = measured(folder)
    assert result.ranges == {"integer": (281, 2634)}
    assert "Of 3 training images looked at, 1 is of this kind" in result.notes[0]
    assert "1 of 3 training images looked at have 16 bits per channel" in result.notes[1]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("options", ["png", "<", ">", "zlib"])
def test_colours_of_16_bits_are_read_whole(channels: int, options: str, tmp_path: Path) -> None:
    """Pillow alone keeps the upper byte: here almost black."""
    values = np.random.default_rng(0).integers(281, 2635, (20, 30, channels), dtype=np.uint16)
    values[..., 3:] = 65535
    values[0, 0, :2] = 281, 2634
    path = tmp_path / "a.png"
    if options == "png":
        write_16_bit_png(path, values, 2 if channels == 3 else 6)
    elif options == "zlib":
        tifffile.imwrite(path, values, photometric="rgb", compression="zlib", rowsperstrip=7)
    else:
        tifffile.imwrite(path, values, photometric="rgb", byteorder=options)
    ranges = measured(tmp_path).ranges
    assert ranges == {"colour": (281, 2634)}
    expected = np.round((values[..., :3] - 281.0) / (2634 - 281) * 255)
    assert np.array_equal(np.asarray(read_rgb(path, ranges)), expected)
    upper = (values[..., :3] >> 8).astype(np.uint8)  # as version 0.1.0 read it
    assert np.array_equal(np.asarray(read_rgb(path)), upper)


def test_only_a_few_headers_of_8_bit_formats_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a", *[np.zeros((4, 4), np.uint8)] * 40, ending="jpg")
    opened: list[str] = []
    true = range_sample._read_header
    monkeypatch.setattr(
        range_sample, "_read_header", lambda path: (opened.append(path), true(path))[1]
    )
    monkeypatch.setattr(range_sample, "_read_values", None)  # nothing is decoded
    assert measured(tmp_path / "a") == MeasuredRanges({})
    assert 0 < len(opened) <= 16


def test_the_sample_depends_on_the_seed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(range_sample, "IMAGES", 2)
    folder = save(tmp_path / "a", *(np.full((2, 2), n, np.uint16) for n in range(300, 320)))
    ranges = [str(measured(folder, seed).ranges) for seed in (0, 1, 2, 3)]
    assert [str(measured(folder, seed).ranges) for seed in (0, 1, 2, 3)] == ranges
    assert len(set(ranges)) > 1


def test_scaled_values_are_the_same_in_every_image_and_clipped_beyond(tmp_path: Path) -> None:
    save(
        tmp_path / "a",
        np.array([[281, 2634]], np.uint16),
        np.array([[0, 281, 1457, 2634, 4095]], np.uint16),
    )
    clipped = ClippedValues()
    ranges = {"integer": (281, 2634)}
    first, second = (tmp_path / "a" / f"{number:02}.png" for number in range(2))
    assert np.asarray(read_rgb(first, ranges, clipped))[0, :, 0].tolist() == [0, 255]
    assert clipped.report() is None
    for _ in range(2):  # an image is counted once
        grey = np.asarray(read_rgb(second, ranges, clipped))[0, :, 0]
    assert grey.tolist() == [0, 0, 127, 255, 255]
    report = clipped.report()
    assert report is not None and clipped.report() is None
    assert (report.images, report.of_images, report.values, report.of_values) == (1, 2, 2, 7)
    assert (report.lowest, report.highest, report.example) == (0, 4095, str(second))


@given(
    st.lists(st.integers(0, 65535), min_size=1, max_size=9),
    st.integers(0, 65000),
    st.integers(1, 535),
)
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_scaling_keeps_the_order_and_reaches_both_ends(values, low, width) -> None:
    high = low + width
    array = np.array([[low, *sorted(values), high]], np.uint16)
    grey = scale(array, low, high)[0].astype(int)
    inside = grey[(array[0] >= low) & (array[0] <= high)]
    assert inside[0] == 0 and inside[-1] == 255
    assert (np.diff(grey[1:-1]) >= 0).all()
    exact = (array[0].clip(low, high) - float(low)) / (high - low) * 255
    assert np.abs(grey - exact).max() <= 0.5
