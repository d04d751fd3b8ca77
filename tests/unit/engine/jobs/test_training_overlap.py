"""An evaluation says how many of its images the run was trained on or validated with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.data.dataset.image_folder import LabelledImages, list_labelled, open_folder
from engine.data.samples import Sample
from engine.jobs import training_overlap
from engine.jobs.load import TrainedModel
from engine.session.context import describe_images
from tests.support.driven_session import draw_tiny_images


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    """A folder with Train/ and Test/, and a labels file for each."""
    root = tmp_path / "signs"
    for name in ("Train", "Test"):
        paths = [f"{name}/{number}.png" for number in range(10)]
        draw_tiny_images(root, *paths)
        for number, path in enumerate(paths):  # no two of them are the same
            with open(root / path, "ab") as file:
                file.write(f"{name} {number}".encode())
        rows = [f"{path},{'cat' if number % 2 else 'dog'}" for number, path in enumerate(paths)]
        (root / f"{name}.csv").write_text("\n".join(["path,label", *rows]))
    return root


def notes(
    config: dict[str, Any],
    samples: tuple[Sample, ...],
    stem: str = "best",
    images: dict[str, Any] | None = None,
) -> list[str]:
    """Return what is told about an evaluation of a run with this configuration."""
    with pytest.MonkeyPatch.context() as patch:
        stored = {"config": {"image_rules": 2, **config}, "images": images}
        patch.setattr(training_overlap, "read_config", lambda run: stored)
        trained = TrainedModel(
            torch.nn.Identity(),
            ("cat", "dog"),
            None,  # type: ignore[arg-type]
            32,
            Path("run"),
            Path(f"{stem}.safetensors"),
            {},
        )
        comparison = training_overlap.training_overlap(trained, samples)
        while True:
            try:
                next(comparison)
            except StopIteration as ended:
                return list(ended.value)


def labelled(root: Path, labels: str) -> tuple[Sample, ...]:
    *_, images = list_labelled(root, ("cat", "dog"), labels=root / labels)
    assert isinstance(images, LabelledImages)
    return images.samples


def test_the_images_themselves_are_compared(signs: Path, tmp_path: Path) -> None:
    """Images of the same folder that the run never saw are none of its own."""
    run = {"data": str(signs), "labels": str(signs / "Train.csv")}
    assert notes(run, labelled(signs, "Test.csv")) == []
    own = labelled(signs, "Train.csv")
    (told,) = notes(run, own)
    assert told == (
        "8 of the 10 images were used for training, 2 for validation: the accuracy is optimistic."
    )
    link = tmp_path / "link"
    link.symlink_to(signs)
    assert notes(run, labelled(link, "Train.csv")) == [told]
    shutil.copytree(signs, tmp_path / "copy")
    assert notes(run, labelled(tmp_path / "copy", "Train.csv")) == [told]
    assert notes(run, (Sample(str(signs / "Test" / "0.png"), 1),)) == []


def test_class_folders_and_rows_are_the_same_images(tmp_path: Path) -> None:
    names = [f"{c}/{n}.png" for c in ("cat", "dog") for n in range(3)]
    draw_tiny_images(tmp_path, *(f"{part}/{name}" for part in ("train", "val") for name in names))
    for part in ("train", "val"):
        for name in names:
            with open(tmp_path / part / name, "ab") as file:
                file.write(f"{part}/{name}".encode())
        rows = [f"{part}/{name},{name[:3]}" for name in names]
        (tmp_path / f"{part}.csv").write_text("\n".join(["path,label", *rows]))
    run = {"data": str(tmp_path)}
    (told,) = notes(run, labelled(tmp_path, "train.csv"))
    assert told == "All 6 images were used for training: the accuracy is optimistic."
    (told,) = notes(run, labelled(tmp_path, "val.csv"))
    assert told.startswith("All 6 images were used for validation. The best checkpoint was select")
    (told,) = notes(run, labelled(tmp_path, "val.csv"), stem="last")
    assert told == "All 6 images were used for validation, none for training."


def test_images_that_are_not_there_any_more_are_no_proof(signs: Path) -> None:
    samples = labelled(signs, "Test.csv")
    run = {"data": str(signs), "labels": str(signs / "Train.csv")}
    shutil.rmtree(signs / "Train")
    (told,) = notes(run, samples)
    assert told.startswith("It could not be checked whether the run was trained on these images")
    (told,) = notes({"data": str(signs / "gone")}, samples)
    assert "there is no such folder" in told


def test_a_changed_dataset_is_said(signs: Path) -> None:
    """Which images a split takes depends on all of them."""
    run = {"data": str(signs), "labels": str(signs / "Train.csv")}
    before = describe_images(open_folder(signs, labels=signs / "Train.csv"))
    own = labelled(signs, "Train.csv")
    assert notes(run, own, images=before)[0].startswith("8 of the 10 images were used")
    lines = (signs / "Train.csv").read_text().splitlines()
    (signs / "Train.csv").write_text("\n".join(lines[:-1]))
    (told,) = notes(run, own, images=before)
    assert "have changed: it had 8 for training and 2 for validation, and now there are 7" in told
    assert told.endswith("9 of the 10 images are among those of now.")
