"""Missing, damaged, dangerous and other unreadable files are refused with a reason."""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.data.conversion.rgb_conversion import without_outliers
from engine.data.decoding import UnreadableImage, image_endings, read_rgb


@pytest.mark.parametrize("content", [b"", b"no image at all", None])
def test_an_unreadable_file_raises_an_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    if content is None:  # truncated
        Image.effect_noise((64, 64), 50).save(path)
        content = path.read_bytes()[:400]
    path.write_bytes(content)
    with pytest.raises(UnreadableImage):
        read_rgb(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.98])
@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "webp", "tif"])
def test_a_truncated_image_raises_an_error(share: float, ending: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    noise.save(tmp_path / f"whole.{ending}")
    whole = (tmp_path / f"whole.{ending}").read_bytes()
    (tmp_path / f"part.{ending}").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableImage):
        read_rgb(tmp_path / f"part.{ending}")


def test_a_folder_named_like_an_image_raises_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(UnreadableImage):
        read_rgb(tmp_path / "folder.jpg")


def reason_for(path: Path) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_rgb(path)
    return str(caught.value)


def test_a_named_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason_for(tmp_path / "pipe.jpg") == "it is not a regular file"


def test_the_error_states_the_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("a lie")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "link.jpg")
    assert reason_for(tmp_path / "empty.jpg") == "it is empty"
    assert reason_for(tmp_path / "text.jpg") == "it is not an image that Pillow can read"
    assert reason_for(tmp_path / "gone.jpg") == "there is no such file"
    assert "link" in reason_for(tmp_path / "link.jpg")


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    Image.new("1", (16384, 16384)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    assert reason_for(tmp_path / "bomb.png") == "it has more pixels than Pillow allows"


def test_postscript_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "drawing.eps")
    (tmp_path / "drawing.eps").rename(tmp_path / "photo.jpg")

    def started(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "check_call", started)
    monkeypatch.setattr(subprocess, "Popen", started)
    assert reason_for(tmp_path / "photo.jpg") == "it is not an image that Pillow can read"
    assert ".eps" not in image_endings() and {".jpg", ".png", ".tif"} <= image_endings()


@pytest.mark.parametrize(("size", "expected"), [((1, 900), (1, 32)), ((900, 3), (96, 3))])
def test_an_elongated_image_is_cropped_to_its_middle(size, expected) -> None:
    strip = Image.new("L", size)
    strip.putpixel((size[0] // 2, size[1] // 2), 255)
    cropped = without_outliers(strip)
    assert cropped.size == expected
    assert cropped.getpixel((expected[0] // 2, expected[1] // 2)) == 255
    assert without_outliers(cropped) is cropped


@given(st.binary(max_size=200), st.integers(0, 3), st.integers(0, 2**32))
@settings(deadline=None, max_examples=60)
def test_a_damaged_image_is_either_read_or_refused(garbage, kind, seed) -> None:
    """Random bytes overwrite part of an intact image."""
    buffer = io.BytesIO()
    Image.effect_noise((16, 16), 60).convert("RGB").save(
        buffer, ("JPEG", "PNG", "GIF", "TIFF")[kind]
    )
    data = bytearray(buffer.getvalue())
    first = seed % len(data)
    data[first : first + len(garbage)] = garbage[: len(data) - first]
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            assert read_rgb(file.name).mode == "RGB"
        except UnreadableImage as error:
            assert str(error)
