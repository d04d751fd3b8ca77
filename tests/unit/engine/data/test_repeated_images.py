"""Validation images that are also training images are found: links, copies and the same folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.data.dataset import repeated_images
from engine.data.dataset.image_folder import open_folder
from engine.data.dataset.repeated_images import RepeatedImages, find_repeated
from engine.data.samples import Sample
from tests.support.driven_session import draw_images


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return draw_images(tmp_path / "set", train=4, val=3, size=8)


def test_other_validation_images_are_no_finding(root: Path) -> None:
    assert open_folder(root).findings == ()


@pytest.mark.parametrize("how", ["linked folder", "linked classes", "hard links", "copies"])
def test_a_validation_folder_that_repeats_the_training_folder_is_reported(
    how: str, root: Path
) -> None:
    train, val = root / "train", root / "val"
    shutil.rmtree(val)
    if how == "linked folder":
        val.symlink_to(train, target_is_directory=True)
    elif how == "linked classes":
        val.mkdir()
        for folder in train.iterdir():
            (val / folder.name).symlink_to(folder, target_is_directory=True)
    else:
        copy = os.link if how == "hard links" else shutil.copy
        shutil.copytree(train, val, copy_function=copy)
    (finding,) = open_folder(root).findings
    assert finding.startswith("All 8 validation images are also among the training images")


def test_single_copies_under_other_names_are_counted(root: Path) -> None:
    shutil.copy(root / "train" / "dark" / "001.png", root / "val" / "dark" / "copy.png")
    (finding,) = open_folder(root).findings
    assert finding.startswith("1 validation image is also among the training")
    assert finding.endswith("Such as val/dark/copy.png, which is the same as train/dark/001.png.")


def test_files_of_the_same_size_are_compared_to_their_last_byte(tmp_path: Path) -> None:
    content = bytes(20_000)
    for name, last in (("a", b"x"), ("b", b"y"), ("c", b"x")):
        (tmp_path / name).write_bytes(content + last)
    samples = [Sample(str(tmp_path / name), 0) for name in "abc"]
    assert compared(samples[:1], samples[1:]).repeated == 1


def test_what_was_not_compared_in_time_is_stated(root: Path) -> None:
    folder = open_folder(root)
    result = compared(folder.train, folder.val * 2, seconds=0.0)
    assert result.repeated == 0 and result.compared < 12
    assert result.unfinished().startswith(f"{result.compared} of 12 compared")


def test_a_copied_folder_is_found_however_little_time_there_is(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeated_images, "FILES_PER_YIELD", 1)
    monkeypatch.setattr(repeated_images, "FIRST_COMPARED", 4)
    shutil.rmtree(root / "val")
    shutil.copytree(root / "train", root / "val")
    folder = open_folder(root)
    result = compared(folder.train, folder.val, seconds=0.0)
    assert (result.compared, result.repeated) == (4, 4)
    assert result.sentences(str(root))[0].startswith("4 of the 4 validation images that were comp")


def compared(
    train: Sequence[Sample], val: Sequence[Sample], seconds: float = 60.0
) -> RepeatedImages:
    search = find_repeated(train, val, seconds)
    while True:
        try:
            next(search)
        except StopIteration as ended:
            return ended.value
