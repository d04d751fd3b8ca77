"""HEIC, the format of most phones, is read like any other; a damaged file is an unreadable one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from engine.data.dataset.image_folder import open_folder
from engine.data.decoding import UnreadableImage, looks_like_image, read_rgb
from tests.support.driven_session import draw_tiny_images


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph that was taken with the phone turned: red above, blue below."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32, :, 0] = pixels[32:, :, 2] = 220
    path = tmp_path_factory.mktemp("heif") / "IMG_1.HEIC"
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(path, quality=90)
    return path


def test_a_heic_image_is_read_upright_in_its_colours(photo: Path) -> None:
    image = read_rgb(photo)
    assert (image.mode, image.size) == ("RGB", (96, 64))
    above, below = np.asarray(image)[8, 48], np.asarray(image)[56, 48]
    assert above[0] > 180 > 60 > above[2] and below[2] > 180 > 60 > below[0]


def test_an_image_is_recognised_by_its_content_whatever_its_name(
    photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "photo").write_bytes(photo.read_bytes())
    assert looks_like_image(str(tmp_path / "photo"))
    assert read_rgb(tmp_path / "photo").size == (96, 64)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.7, 0.99])
def test_a_truncated_heic_image_is_unreadable(share: float, photo: Path, tmp_path: Path) -> None:
    content = photo.read_bytes()
    part = tmp_path / "part.heic"
    part.write_bytes(content[: int(len(content) * share)])
    assert not looks_like_image(str(part))
    with pytest.raises(UnreadableImage):
        read_rgb(part)


def test_damaged_heic_images_are_refused_or_read(photo: Path, tmp_path: Path) -> None:
    """No damage to the content raises anything else, or ends the process."""
    content = photo.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(content)
        for at in random.integers(0, len(content), 6):
            damaged[at] = random.integers(256)
        (tmp_path / "damaged.heic").write_bytes(damaged)
        try:
            assert read_rgb(tmp_path / "damaged.heic").mode == "RGB"
        except UnreadableImage as error:
            assert str(error)


def test_heic_images_are_listed_but_not_by_the_first_rules(photo: Path, tmp_path: Path) -> None:
    draw_tiny_images(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")
    (tmp_path / "dog" / "IMG_1.HEIC").write_bytes(photo.read_bytes())
    now, first = open_folder(tmp_path), open_folder(tmp_path, rules=1)
    assert (len(now.train + now.val), len(first.train + first.val)) == (5, 4)
    assert not now.left_out and first.left_out[0].kind == ".heic"
