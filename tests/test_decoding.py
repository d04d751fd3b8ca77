"""Every image that Pillow reads, with the pixels that a person would see."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import UnreadableImage, read_rgb

GREY = 140


def saved(image: Image.Image, path: Path, **options: object) -> np.ndarray:
    image.save(path, **options)
    return np.asarray(read_rgb(path))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1"])
def test_any_mode_becomes_rgb(mode: str, tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 6), (GREY, GREY, GREY)).convert(mode)
    pixels = saved(image, tmp_path / ("image.tif" if mode == "CMYK" else "image.png"))
    assert pixels.shape == (6, 8, 3)
    if mode != "1":
        assert abs(int(pixels.mean()) - GREY) <= 3


def test_a_16_bit_image_is_scaled_by_its_range(tmp_path: Path) -> None:
    """Pillow's own conversion would clip it white."""
    values = np.full((6, 8), GREY << 8, dtype=np.uint16)
    pixels = saved(Image.fromarray(values), tmp_path / "scan.png")
    assert set(pixels.ravel()) == {GREY}


def test_a_floating_point_image_is_scaled(tmp_path: Path) -> None:
    values = np.full((6, 8), 0.5, dtype=np.float32)
    assert set(saved(Image.fromarray(values), tmp_path / "scan.tif").ravel()) == {127}


def test_a_rotated_photograph_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to see it upright
    pixels = saved(Image.new("RGB", (10, 4), "white"), tmp_path / "photo.jpg", exif=exif)
    assert pixels.shape == (10, 4, 3)


def test_transparent_pixels_are_white_not_black(tmp_path: Path) -> None:
    assert saved(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), tmp_path / "icon.png").min() == 255


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert tuple(np.asarray(read_rgb(tmp_path / "moving.gif"))[0, 0]) == (255, 0, 0)


@pytest.mark.parametrize("content", [b"", b"no image at all", None])
def test_what_cannot_be_read_says_so(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    if content is None:  # truncated
        Image.effect_noise((64, 64), 50).save(path)
        content = path.read_bytes()[:400]
    path.write_bytes(content)
    with pytest.raises(UnreadableImage):
        read_rgb(path)


# --- folders ------------------------------------------------------------------------------------


def colours() -> Image.Image:
    """Four quarters: red, green, blue, grey."""
    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    pixels[:8, :8], pixels[:8, 8:] = (220, 30, 30), (30, 200, 40)
    pixels[8:, :8], pixels[8:, 8:] = (40, 60, 210), (GREY, GREY, GREY)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("mode", "ending", "apart"),
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
def test_colours_are_those_that_were_saved(
    mode: str, ending: str, apart: int, tmp_path: Path
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
        seen = pixels[y, x].astype(int)
        meant = np.asarray(colours())[y, x].astype(int)
        assert np.abs(seen - meant).max() <= apart, (y, x, seen, meant)


def test_an_inverted_cmyk_photograph_of_adobes_is_not_a_negative(tmp_path: Path) -> None:
    """Adobe stores CMYK JPEGs inverted and says so in a marker."""
    buffer = io.BytesIO()
    colours().convert("CMYK").save(buffer, "JPEG")
    assert b"Adobe" in buffer.getvalue()
    (tmp_path / "adobe.jpg").write_bytes(buffer.getvalue())
    pixels = np.asarray(read_rgb(tmp_path / "adobe.jpg")).astype(int)
    assert pixels[4, 4, 0] > 150 > pixels[4, 4, 2]


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_of_a_camera_stands_upright(turn: int, tmp_path: Path) -> None:
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
    ("mode", "pixel", "meant"),
    [
        ("RGBA", (200, 0, 0, 128), (227, 127, 127)),
        ("RGBA", (200, 0, 0, 0), (255, 255, 255)),
        ("LA", (0, 128), (127, 127, 127)),
    ],
)
def test_what_shines_through_is_white(mode, pixel, meant, tmp_path: Path) -> None:
    pixels = saved(Image.new(mode, (4, 4), pixel), tmp_path / "image.png")
    assert np.abs(pixels.astype(int) - meant).max() <= 1


def test_a_transparent_colour_of_a_palette_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 9, 9, 9])
    pixels = saved(image, tmp_path / "image.png", transparency=1)
    assert (pixels == 255).all()


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bit_of_either_byte_order(ending: str, order: str, tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64).astype(order).reshape(8, 8)
    pixels = saved(Image.fromarray(values), tmp_path / f"scan.{ending}")
    assert np.array_equal(pixels[..., 0], (values.astype(int) >> 8).astype(np.uint8))


@pytest.mark.parametrize("ending", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame(ending: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black", "black")]
    path = tmp_path / f"moving.{ending}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)
    assert np.asarray(read_rgb(path)).min() > 240


def test_a_name_that_lies_about_the_format_is_read_by_its_content(tmp_path: Path) -> None:
    colours().save(tmp_path / "image.png")
    (tmp_path / "image.png").rename(tmp_path / "image.jpg")
    assert np.array_equal(np.asarray(read_rgb(tmp_path / "image.jpg")), np.asarray(colours()))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.98])
@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "webp", "tif"])
def test_half_an_image_is_no_image(share: float, ending: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    noise.save(tmp_path / f"whole.{ending}")
    whole = (tmp_path / f"whole.{ending}").read_bytes()
    (tmp_path / f"part.{ending}").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableImage):
        read_rgb(tmp_path / f"part.{ending}")


def test_a_folder_with_an_images_name(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(UnreadableImage):
        read_rgb(tmp_path / "folder.jpg")
