"""Decoded pixels are those that an image viewer shows, for every mode and format."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.decoding import read_rgb

GREY = 140


def saved(image: Image.Image, path: Path, **options: object) -> np.ndarray:
    image.save(path, **options)
    return np.asarray(read_rgb(path))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1"])
def test_every_mode_is_converted_to_rgb(mode: str, tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 6), (GREY, GREY, GREY)).convert(mode)
    pixels = saved(image, tmp_path / ("image.tif" if mode == "CMYK" else "image.png"))
    assert pixels.shape == (6, 8, 3)
    if mode != "1":
        assert abs(int(pixels.mean()) - GREY) <= 3


def test_a_16_bit_image_is_scaled_by_the_range_of_its_mode(tmp_path: Path) -> None:
    """Pillow's own conversion would clip the image to white."""
    values = np.full((6, 8), GREY << 8, dtype=np.uint16)
    pixels = saved(Image.fromarray(values), tmp_path / "scan.png")
    assert set(pixels.ravel()) == {GREY}


def test_a_floating_point_image_is_scaled(tmp_path: Path) -> None:
    values = np.full((6, 8), 0.5, dtype=np.float32)
    assert set(saved(Image.fromarray(values), tmp_path / "scan.tif").ravel()) == {127}


def test_a_rotated_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer has to rotate the image by 90 degrees
    pixels = saved(Image.new("RGB", (10, 4), "white"), tmp_path / "photo.jpg", exif=exif)
    assert pixels.shape == (10, 4, 3)


def test_transparent_pixels_are_white_not_black(tmp_path: Path) -> None:
    assert saved(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), tmp_path / "icon.png").min() == 255


def test_only_the_first_frame_of_a_gif_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert tuple(np.asarray(read_rgb(tmp_path / "moving.gif"))[0, 0]) == (255, 0, 0)


def colours() -> Image.Image:
    """Four quarters: red, green, blue, grey."""
    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    pixels[:8, :8], pixels[:8, 8:] = (220, 30, 30), (30, 200, 40)
    pixels[8:, :8], pixels[8:, 8:] = (40, 60, 210), (GREY, GREY, GREY)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("mode", "ending", "tolerance"),
    [
        ("RGB", "png", 0),
        ("RGB", "bmp", 0),
        ("RGB", "ppm", 0),
        ("RGB", "webp", 40),
        ("RGB", "jpg", 60),
        ("RGB", "gif", 30),
        ("P", "png", 3),
        ("YCbCr", "jpg", 60),
        ("CMYK", "jpg", 60),
        ("CMYK", "tif", 3),
        ("LAB", "tif", 12),
    ],
)
def test_colours_survive_every_format_and_mode(
    mode: str, ending: str, tolerance: int, tmp_path: Path
) -> None:
    image = colours()
    if mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.applyTransform(image, ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    elif mode == "P":
        image = image.quantize(16)
    elif mode != "RGB":
        image = image.convert(mode)
    pixels = saved(image, tmp_path / f"image.{ending}")
    for y, x in ((4, 4), (4, 12), (12, 4), (12, 12)):
        actual = pixels[y, x].astype(int)
        expected = np.asarray(colours())[y, x].astype(int)
        assert np.abs(actual - expected).max() <= tolerance, (y, x, actual, expected)


def test_an_inverted_cmyk_jpeg_of_adobe_is_not_read_as_a_negative(tmp_path: Path) -> None:
    """Adobe stores CMYK JPEGs inverted and marks them as such."""
    buffer = io.BytesIO()
    colours().convert("CMYK").save(buffer, "JPEG")
    assert b"Adobe" in buffer.getvalue()
    (tmp_path / "adobe.jpg").write_bytes(buffer.getvalue())
    pixels = np.asarray(read_rgb(tmp_path / "adobe.jpg")).astype(int)
    assert pixels[4, 4, 0] > 150 > pixels[4, 4, 2]


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_exif_orientation_is_turned_upright(turn: int, tmp_path: Path) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = colours().resize((20, 12), Image.Resampling.NEAREST)
    stored = image.transpose(undo[turn]) if turn in undo else image
    exif = Image.Exif()
    exif[0x0112] = turn
    pixels = saved(stored, tmp_path / "photo.png", exif=exif)
    assert np.array_equal(pixels, np.asarray(image))


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("RGBA", (200, 0, 0, 128), (227, 127, 127)),
        ("RGBA", (200, 0, 0, 0), (255, 255, 255)),
        ("LA", (0, 128), (127, 127, 127)),
    ],
)
def test_translucent_pixels_are_blended_with_white(mode, pixel, expected, tmp_path: Path) -> None:
    pixels = saved(Image.new(mode, (4, 4), pixel), tmp_path / "image.png")
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_a_transparent_palette_colour_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 9, 9, 9])
    pixels = saved(image, tmp_path / "image.png", transparency=1)
    assert (pixels == 255).all()


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bit_images_are_read_in_either_byte_order(
    ending: str, order: str, tmp_path: Path
) -> None:
    values = np.linspace(0, 65535, 64).astype(order).reshape(8, 8)
    pixels = saved(Image.fromarray(values), tmp_path / f"scan.{ending}")
    assert np.array_equal(pixels[..., 0], (values.astype(int) >> 8).astype(np.uint8))


@pytest.mark.parametrize("ending", ["gif", "webp", "png"])
def test_only_the_first_frame_of_an_animation_is_read(ending: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black", "black")]
    path = tmp_path / f"moving.{ending}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)
    assert np.asarray(read_rgb(path)).min() > 240


def test_the_format_is_found_from_the_content_not_the_extension(tmp_path: Path) -> None:
    colours().save(tmp_path / "image.png")
    (tmp_path / "image.png").rename(tmp_path / "image.jpg")
    assert np.array_equal(np.asarray(read_rgb(tmp_path / "image.jpg")), np.asarray(colours()))


# --- rare modes and formats ---------------------------------------------------------------------


def first_row(path: Path) -> list[int]:
    """Return the grey levels of the first row of an image."""
    pixels = np.asarray(read_rgb(path))
    assert (pixels == pixels[..., :1]).all()
    return pixels[0, :, 0].tolist()


@pytest.mark.parametrize("ending", ["png", "tif", "bmp", "pbm"])
def test_one_bit_images_are_black_and_white(ending: str, tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 255, 255, 0]], dtype=np.uint8)).convert("1")
    image.save(tmp_path / f"fax.{ending}")
    assert first_row(tmp_path / f"fax.{ending}") == [0, 255, 255, 0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 127, 255]),
        ([-1.0, 0.25, 0.5], [0, 63, 127]),
        ([0.0, 128.0, 255.0], [0, 128, 255]),
        ([0.0, 32768.0, 65535.0], [0, 127, 255]),
        ([0.0, 50_000.0, 100_000.0], [0, 127, 255]),
        ([float("nan"), float("inf"), 1.0], [0, 0, 255]),
        ([0.0, 0.0, 0.0], [0, 0, 0]),
    ],
)
def test_floats_are_scaled_by_the_smallest_range_that_contains_them(
    values, expected, tmp_path: Path
) -> None:
    Image.fromarray(np.array([values], dtype=np.float32)).save(tmp_path / "scan.tif")
    assert first_row(tmp_path / "scan.tif") == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 32768, 65535], [0, 127, 255]),
        ([-5, 1_000_000, 2_000_000], [0, 127, 255]),
    ],
)
def test_32_bit_integers_are_scaled(values, expected, tmp_path: Path) -> None:
    Image.fromarray(np.array([values], dtype=np.int32)).save(tmp_path / "scan.tif")
    assert first_row(tmp_path / "scan.tif") == expected


@pytest.mark.parametrize("bits", [np.uint8, np.uint16])
def test_a_tiff_in_which_zero_means_white_is_inverted(bits: type, tmp_path: Path) -> None:
    values = np.array([[0, np.iinfo(bits).max]], dtype=bits)
    Image.fromarray(values).save(tmp_path / "scan.tif")
    raw = (tmp_path / "scan.tif").read_bytes()
    black_is_zero = bytes.fromhex("0601 0300 01000000 0100 0000")
    assert raw.count(black_is_zero) == 1
    (tmp_path / "scan.tif").write_bytes(
        raw.replace(black_is_zero, bytes.fromhex("0601 0300 01000000 0000 0000"))
    )
    assert first_row(tmp_path / "scan.tif") == [255, 0]


def test_a_transparent_16_bit_grey_is_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 0x1234, 0x8000]], dtype=np.uint16)).save(
        tmp_path / "scan.png", transparency=0x1234
    )
    assert first_row(tmp_path / "scan.png") == [0, 255, 128]


@pytest.mark.parametrize(("mode", "clear"), [("L", 7), ("RGB", (7, 7, 7))])
def test_a_single_transparent_colour_is_white(mode, clear, tmp_path: Path) -> None:
    image = Image.new("L", (2, 1), 7)
    image.putpixel((1, 0), 90)
    image.convert(mode).save(tmp_path / "icon.png", transparency=clear)
    assert first_row(tmp_path / "icon.png") == [255, 90]


def test_translucent_palette_colours_are_blended_with_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([0, 0, 0, 80, 80, 80])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "icon.png", transparency=bytes([128, 255]))
    assert first_row(tmp_path / "icon.png") == [127, 80]


def test_transparent_pixels_of_an_animation_are_white(tmp_path: Path) -> None:
    frame = Image.new("P", (2, 1), 0)
    frame.putpalette([0, 0, 0, 200, 200, 200])
    frame.putpixel((1, 0), 1)
    other = Image.new("P", (2, 1), 1)
    other.putpalette([0, 0, 0, 200, 200, 200])
    frame.save(
        tmp_path / "moving.gif", save_all=True, append_images=[other], transparency=0, disposal=2
    )
    assert first_row(tmp_path / "moving.gif") == [255, 200]


def test_only_the_first_page_of_a_tiff_is_read(tmp_path: Path) -> None:
    pages = [Image.new("L", (2, 1), level) for level in (30, 200)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    assert first_row(tmp_path / "scan.tif") == [30, 30]


def test_an_image_with_damaged_exif_data_is_read_without_rotation(tmp_path: Path) -> None:
    Image.new("L", (3, 1), 90).save(tmp_path / "photo.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert first_row(tmp_path / "photo.jpg") == [90, 90, 90]
