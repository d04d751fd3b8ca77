"""Splits are recognised by the names of their folders, or refused with the reason."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.dataset.image_folder import open_folder
from engine.data.dataset.layout import evaluation_folder, find_splits
from engine.data.samples import DataProblem, ImageFolder
from tests.support.driven_session import draw_tiny_images


def fill(root: Path, *folders: str, count: int = 3) -> Path:
    """Draw images in folders, such as `train/cat`."""
    return draw_tiny_images(
        root, *(f"{f}/{f.replace('/', '-')} {n}.png" for f in folders for n in range(count))
    )


def left_out(folder: ImageFolder) -> dict[str, tuple[int, str]]:
    return {item.kind: (item.count, item.example) for item in folder.left_out}


def images_of(folder: ImageFolder) -> list[int]:
    """Return the number of training images of each class."""
    return [sum(s.label == label for s in folder.train) for label in range(len(folder.classes))]


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("Train", "Val"),
        ("train", "Validation"),
        ("TRAINING", "valid"),
        ("training", "dev"),
        ("train_set", "eval"),
        ("seg_train", "seg_val"),
        ("train2017", "val2017"),
        ("trainset", "valset"),
        ("Training Data", "Validation Data"),
        ("chest-xray-train", "chest-xray-validation"),
        ("archive/train", "archive/val"),
        ("Dataset/images/Train", "Dataset/images/Val"),
        ("seg_train/seg_train", "seg_val/seg_val"),
        ("train/images", "val/images"),
        ("train/train", "train/val"),
        ("Train/training_set", "Train/validation_set"),
    ],
)
def test_a_split_is_recognised_by_its_names(train: str, val: str, tmp_path: Path) -> None:
    fill(tmp_path, f"{train}/cat", f"{train}/dog")
    fill(tmp_path, f"{val}/cat", f"{val}/dog", count=2)
    folder = open_folder(tmp_path)
    assert folder.classes == ("cat", "dog") and folder.validation == f"{val}/"
    assert (len(folder.train), len(folder.val)) == (6, 4) and not folder.left_out
    assert not {s.path for s in folder.train} & {s.path for s in folder.val}


@pytest.mark.parametrize("test", ["test", "Test", "testing", "test1", "holdout", "test_images"])
@pytest.mark.parametrize("beside", ["", "train/"])
def test_a_test_folder_is_left_out_and_named(beside: str, test: str, tmp_path: Path) -> None:
    fill(tmp_path, f"{beside}cat", f"{beside}dog", count=5)
    fill(tmp_path, test, count=2)
    folder = open_folder(tmp_path)
    assert folder.classes == ("cat", "dog") and len(folder.train) + len(folder.val) == 10
    assert left_out(folder) == {"test folder": (1, test)}
    assert folder.validation == "a fifth of each class"


def test_a_test_folder_may_hold_class_folders(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat", "train/dog", "val/cat", "val/dog", "test/cat", "test/dog")
    folder = open_folder(tmp_path)
    assert (len(folder.train), len(folder.val)) == (6, 6)
    assert list(left_out(folder)) == ["test folder"]


def test_validation_folders_beside_classes_are_used(tmp_path: Path) -> None:
    fill(tmp_path, "cat", "dog", "Val/cat", "Val/dog")
    folder = open_folder(tmp_path)
    assert folder.classes == ("cat", "dog") and folder.validation == "Val/"
    assert images_of(folder) == [3, 3] and len(folder.val) == 6


def test_what_stands_beside_a_split_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat", "train/dog", "val/cat", "valid/dog", "masks")
    draw_tiny_images(tmp_path, "overview.png", "train/sheet.png")
    (tmp_path / "labels.csv").touch()
    folder = open_folder(tmp_path)
    assert folder.validation == "val/" and len(folder.val) == 3
    assert {(item.kind, item.count, item.example) for item in folder.left_out} == {
        ("images outside the class folders", 2, "overview.png"),
        ("folder beside the training images", 1, "valid"),
        ("folder beside the training images", 1, "masks"),
        (".csv", 1, "labels.csv"),
    }


def test_a_split_inside_the_training_folder_is_found(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{p}/{c}" for p in ("train/train", "train/val", "test") for c in ("a", "b")))
    folder = open_folder(tmp_path)
    assert folder.classes == ("a", "b") and folder.validation == "train/val/"
    assert left_out(folder) == {"test folder": (1, "test")}
    assert evaluation_folder(tmp_path, ("a", "b"), "") == (tmp_path / "test", "test")
    shutil.rmtree(tmp_path / "test")
    assert evaluation_folder(tmp_path, ("a", "b"), "") == (tmp_path / "train/val", "val")


def test_classes_one_level_below_a_single_folder_are_found(tmp_path: Path) -> None:
    fill(tmp_path, "archive/pets/cat", "archive/pets/dog", "__MACOSX/archive/cat")
    folder = open_folder(tmp_path)
    assert folder.classes == ("cat", "dog")
    assert left_out(folder) == {"system folder": (1, "__MACOSX")}


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train", "test"], "train/ holds 3 images, but there are no class folders in train/"),
        (["Train", "Val"], "Train/ holds 3 images"),
        (["train", "test1", "sample/cat"], "rename it"),
        (["train/cat", "train/dog", "val"], "val/ holds 3 images but no class folders"),
        (["cat", "dog", "validation"], "validation/ holds 3 images but no class folders"),
        (["val/cat", "val/dog"], "only val/, and no folder with training images"),
        (["test/cat", "test/dog", "val/cat"], "only test/ and val/"),
        (["Train/cat", "Train/dog", "Training/cat", "Training/dog"], "both look like training"),
        (["cat", "dog", "val/cat", "dev/cat"], "both look like validation"),
        (["cat/train", "cat/test", "dog/train", "dog/test"], "make train/cat/ of cat/train/"),
        (["a/b/train/cat", "a/b/test/cat", "c/cat"], "b/ holds train/ and test/.*pass --data"),
        (["cat", "dog", "pets/cat", "pets/dog"], "pets/ .*looks like a copy of the dataset"),
        (["train/images", "val/images"], "train/images/ holds 3 images"),
        (["train/cat", "train/dog", "val/images"], "val/images/ holds 3 images"),
        (["train/cat", "train/dog", "val/cat", "val/dogs"], "the class dogs.*.is it dog"),
        (["control", "test"], "only one class with images .control.*Left out: 1 test folder"),
    ],
)
def test_a_split_that_cannot_be_used_is_refused_with_the_reason(
    folders: list[str], message: str, tmp_path: Path
) -> None:
    fill(tmp_path, *folders)
    with pytest.raises(DataProblem, match=message):
        open_folder(tmp_path)


def test_folders_without_images_beside_a_single_folder_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path, "images/apple", "images/pie")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "classes.txt").touch()
    folder = open_folder(tmp_path)
    assert folder.classes == ("apple", "pie")
    assert left_out(folder) == {"folder beside the training images": (1, "meta")}


def test_a_folder_with_the_classes_of_the_training_folder_is_named_as_such(tmp_path: Path) -> None:
    folder = open_folder(fill(tmp_path, "train/cat", "train/dog", "validaton/cat"))
    assert "not the name of a validation folder" in folder.left_out[0].reason


def test_folders_of_the_same_names_in_all_classes_are_a_finding(tmp_path: Path) -> None:
    folder = open_folder(fill(tmp_path, "fold1/cat", "fold1/dog", "fold2/cat", "fold2/dog"))
    assert "All class folders hold the folders cat, dog." in folder.findings[0]


def test_names_that_only_contain_such_a_word_are_classes(tmp_path: Path) -> None:
    names = ("bullet train", "invalid", "pregnancy_test", "steam_train", "valid")
    folder = open_folder(fill(tmp_path, *names))
    assert folder.classes == names and not folder.left_out
    assert not find_splits(["trainers", "testament", "developer", "contest", "restraining"])


NAMES = st.text(st.sampled_from("abcdeghikmoru 019_-"), min_size=1, max_size=8).map(str.strip)


@given(st.sets(NAMES.filter(bool), min_size=2, max_size=4), st.integers(0, 3), st.booleans())
@settings(deadline=None, max_examples=25)
def test_ordinary_layouts_are_listed_as_by_the_first_rules(
    classes: set[str], seed: int, split: bool
) -> None:
    """Images, order, classes and split are those of version 0.1.0."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        fill(root, *(f"train/{c}" if split else c for c in classes))
        if split:
            fill(root, *(f"val/{c}" for c in classes), count=1)
        first, now = (open_folder(root, seed=seed, rules=rules) for rules in (1, 2))
    assert (first.classes, first.train, first.val) == (now.classes, now.train, now.val)


def test_the_first_rules_list_what_version_0_1_0_did(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat", "train/dog", "Validation/cat", "train/@eaDir", "test/cat", count=5)
    first = open_folder(tmp_path, rules=1)
    assert first.classes == ("@eaDir", "cat", "dog") and first.validation != "Validation/"
    now = open_folder(tmp_path)
    assert now.classes == ("cat", "dog") and now.validation == "Validation/"
