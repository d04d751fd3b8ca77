"""Unreadable images are found before training, without decoding every image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import readability
from engine.data.dataset.image_folder import open_folder
from engine.data.readability import check_readable, find_unreadable, reason_unreadable
from engine.data.samples import DataProblem, ImageFolder
from tests.support.driven_session import draw_images


def checked(folder: ImageFolder) -> ImageFolder:
    *_, last = check_readable(folder)
    assert isinstance(last, ImageFolder)
    return last


@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "webp", "bmp", "tif"])
def test_truncated_images_are_found_and_whole_ones_are_not(ending: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    whole, part = tmp_path / f"whole.{ending}", tmp_path / f"part.{ending}"
    Image.fromarray(noise).save(whole)
    assert reason_unreadable(str(whole)) == ""
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    if ending in ("jpg", "png", "gif", "webp"):
        assert reason_unreadable(str(part))
    part.write_bytes(b"no image")
    assert reason_unreadable(str(part)) == "it is not an image that Pillow can read"


def test_bytes_after_the_end_do_not_make_an_image_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (16, 16)).save(path)
    path.write_bytes(path.read_bytes() + bytes(5000))
    assert reason_unreadable(str(path)) == ""


def test_a_dataset_says_what_cannot_be_read(tmp_path: Path) -> None:
    root = draw_images(tmp_path, size=8)
    for number in range(12):
        (root / "train" / "dark" / f"x{number}.png").write_bytes(b"no image")
    for sample in open_folder(root).val[:2]:
        Path(sample.path).write_bytes(b"")
    folder = checked(open_folder(root))
    assert len(folder.unreadable) == 14
    (left_out,) = folder.left_out
    assert (left_out.kind, left_out.count) == ("unreadable images", 14)
    assert left_out.example in folder.unreadable and left_out.reason
    assert len(folder.readable(folder.train)) == 24 and len(folder.train) == 36


def test_a_fifth_of_each_class_is_of_all_files(tmp_path: Path) -> None:
    root = draw_images(tmp_path, size=8) / "train"
    assert checked(open_folder(root)).validation == "a fifth of each class"
    for sample in open_folder(root).val:
        if sample.label == 0:
            Path(sample.path).write_bytes(b"")
    folder = checked(open_folder(root))
    assert folder.validation == "a fifth of each class, unreadable ones included"
    assert {sample.label for sample in folder.readable(folder.val)} == {1}


def test_a_class_without_readable_images_is_named(tmp_path: Path) -> None:
    root = draw_images(tmp_path, size=8)
    for path in (root / "train" / "dark").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(DataProblem, match="only images of light can be read"):
        checked(open_folder(root))
    for name in ("val", "train"):
        (root / name / "third").mkdir()
        Image.new("RGB", (8, 8)).save(root / name / "third" / "1.png")
    assert "Not one training image of dark can be read." in checked(open_folder(root)).findings


def test_many_images_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readability, "MOST_CHECKED", 2)
    assert list(find_unreadable(["nowhere"] * 3)) == [{}]
