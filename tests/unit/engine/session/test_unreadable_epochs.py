"""An epoch is one pass over the images that can be read; what is planned in epochs follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.driven_session import DrivenSession, draw_images
from tl_tui.protocol.checks import CrossValidationEnded, FoldProgressed, FoldValidated
from tl_tui.protocol.commands import CrossValidate, StartOver, Train
from tl_tui.protocol.session import EpochResized, SessionOpened
from tl_tui.protocol.training import ImageSkipped, StepTaken, TrainEnded, Validated


def junk(path: Path) -> None:
    path.write_bytes(b"no image")


def damage(path: Path) -> None:
    """Damage the middle of an image, which only decoding shows."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """12 training images and 6 validation images of each of two classes."""
    return draw_images(tmp_path / "images", size=32)


def damaged(images: Path) -> list[Path]:
    """The first 5 training images of a class and 8 of the other, so that 11 of 24 are left."""
    train = images / "train"
    return [*sorted((train / "dark").iterdir())[:5], *sorted((train / "light").iterdir())[:8]]


def options(images: Path, **more: Any) -> dict[str, Any]:
    return {
        "data": str(images),
        "weights": "none",
        "device": "cpu",
        "image_size": 32,
        "batch_size": 4,
        "epochs": 3,
        "run_dir": str(images.parent / "run"),
        **more,
    }


def images_by_epoch(driven: DrivenSession) -> list[int]:
    counts: dict[int, int] = {}
    for step in driven.all(StepTaken):
        counts[step.epoch] = counts.get(step.epoch, 0) + step.batch
    return [counts[epoch] for epoch in sorted(counts)]


def losses(driven: DrivenSession) -> list[float]:
    return [step.loss for step in driven.all(StepTaken)]


def test_half_of_the_files_are_no_images(images: Path) -> None:
    broken = [*damaged(images), *sorted((images / "val" / "dark").iterdir())[:2]]
    for path in broken:
        junk(path)
    driven = DrivenSession(**options(images, strategy="feature-extraction"))
    opened = driven.opened
    assert (opened.train_images, opened.val_images, opened.batches_per_epoch) == (11, 10, 3)
    assert opened.dataset.train_counts == (7, 4) and opened.dataset.val_counts == (4, 6)
    (left_out,) = opened.dataset.left_out
    assert left_out.count == 15
    driven.do(Train)
    assert images_by_epoch(driven) == [11, 11, 11]
    assert len(driven.all(StepTaken)) == 9 and driven.last(TrainEnded).reason == "done"
    assert [event.epoch for event in driven.all(Validated)] == [1, 2, 3]
    assert sorted(event.path for event in driven.all(ImageSkipped)) == sorted(map(str, broken))
    assert not driven.all(EpochResized)


@pytest.mark.parametrize(
    "more",
    [
        {"lr_schedule": "cosine"},
        {"strategy": "feature-extraction"},
        pytest.param(
            {"augmentation": "light", "strategy": "feature-extraction"},
            marks=pytest.mark.thorough,
        ),
    ],
    ids=["all layers", "feature cache", "augmentation"],
)
def test_damage_that_only_decoding_shows(images: Path, more: dict[str, Any]) -> None:
    for path in damaged(images):
        damage(path)
    driven = DrivenSession(**options(images, **more))
    assert driven.opened.batches_per_epoch == 6
    driven.do(Train)
    resized = driven.last(EpochResized)
    assert (resized.batches_per_epoch, resized.epoch_shift) == (3, 0)
    assert (resized.cycle.after_step, resized.cycle.steps, resized.to_step) == (0, 9, 9)
    assert images_by_epoch(driven) == [11, 11, 11]
    assert len(driven.all(StepTaken)) == 9 and driven.last(TrainEnded).reason == "done"
    assert [event.epoch for event in driven.all(Validated)] == [1, 2, 3]
    assert len(driven.all(ImageSkipped)) == 13


def test_a_resumed_run_equals_an_uninterrupted_one(images: Path) -> None:
    for path in damaged(images):
        damage(path)
    settings = options(images, lr_schedule="cosine", epochs=2)
    whole = DrivenSession(**settings)
    whole.do(Train)
    parted = DrivenSession(**settings | {"run_dir": str(images.parent / "parted")})
    parted.do(Train, steps=2)
    parted.session.close()
    resumed = DrivenSession.resumed(images.parent / "parted")
    resumed.do(Train)
    assert losses(whole) == losses(parted) + losses(resumed)
    assert resumed.last(TrainEnded).step == 6
    assert resumed.last(SessionOpened).batches_per_epoch < 6


@pytest.mark.thorough
def test_a_start_over_repeats_the_same_steps(images: Path) -> None:
    for path in damaged(images):
        damage(path)
    driven = DrivenSession(**options(images, epochs=1))
    driven.do(Train)
    driven.do(StartOver)
    driven.do(Train)
    first, second = losses(driven)[:3], losses(driven)[3:]
    assert first == second and len(first) == 3


@pytest.mark.thorough
def test_the_phases_of_a_plan_have_whole_epochs(images: Path) -> None:
    for path in damaged(images):
        damage(path)
    driven = DrivenSession(**options(images, plan="lp-ft", epochs=2))
    driven.do(Train)
    masks = [len(step.mask) for step in driven.all(StepTaken)]
    assert len(masks) == 6 and len({*masks[:3]}) == 1 and masks[3] > masks[2]
    assert driven.last(EpochResized).plan is not None


@pytest.mark.thorough
def test_steps_that_were_asked_for_are_taken(images: Path) -> None:
    for path in damaged(images):
        damage(path)
    driven = DrivenSession(**options(images, epochs=None, steps=7))
    driven.do(Train)
    assert driven.last(TrainEnded).step == 7
    assert [step.epoch for step in driven.all(StepTaken)] == [1, 1, 1, 2, 2, 2, 3]


def test_images_that_disappear_shorten_later_epochs(images: Path) -> None:
    driven = DrivenSession(**options(images))
    driven.do(Train, steps=6)
    for path in damaged(images):
        path.unlink()
    driven.do(Train)
    assert images_by_epoch(driven)[0] == 24 and images_by_epoch(driven)[2] == 11
    resized = driven.last(EpochResized)
    steps = driven.all(StepTaken)
    assert [step.epoch for step in steps][-3:] == [3, 3, 3] and resized.batches_per_epoch == 3
    for step in steps[6:]:
        shifted = step.step + resized.epoch_shift
        if step.epoch == 3:
            assert -(-shifted // resized.batches_per_epoch) == step.epoch
    assert driven.last(TrainEnded).reason == "done"


def test_folds_leave_out_unreadable_images(images: Path) -> None:
    broken = damaged(images)
    for path in broken[::2]:
        junk(path)
    for path in broken[1::2]:
        damage(path)
    driven = DrivenSession(**options(images, strategy="feature-extraction", epochs=1))
    driven.do(CrossValidate, folds=2)
    assert driven.last(CrossValidationEnded).reason == "done"
    assert sum(fold.total for fold in driven.all(FoldValidated)) == 36 - len(broken)
    last = driven.last(FoldProgressed)
    assert last.step == last.steps
    assert len(driven.all(ImageSkipped)) == len(broken)
