"""The demo images are complete, can be drawn again, and cannot be classified by colour alone."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from demo_data import images_dir
from tools.draw_demo.draw import CLASSES, COUNTS, Plan, draw, encode, plans

Floats = NDArray[np.float64]
TOLERANCE = 1.5  # Grey levels, mean over a picture.


def _pixels(path: Path | BytesIO) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def splits() -> dict[str, tuple[NDArray[np.uint8], Floats]]:
    """Return all images and their labels (1 for the second class), by split."""
    loaded = {}
    for split in COUNTS:
        images, labels = [], []
        for label, name in enumerate(CLASSES):
            for path in sorted((images_dir() / split / name).glob("*.jpg")):
                images.append(_pixels(path))
                labels.append(float(label))
        loaded[split] = (np.stack(images), np.array(labels))
    return loaded


def logistic_accuracy(x: Floats, y: Floats, x_val: Floats, y_val: Floats) -> float:
    """Fit a logistic regression on standardised features by Newton steps; score it."""
    mean, std = x.mean(0), x.std(0) + 1e-9
    a = np.column_stack([(x - mean) / std, np.ones(len(x))])
    a_val = np.column_stack([(x_val - mean) / std, np.ones(len(x_val))])
    w = np.zeros(a.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(a @ w, -30, 30)))
        # The small ridge keeps the step finite when the classes are separable.
        hessian = (a * (p * (1 - p))[:, None]).T @ a + 1e-2 * np.eye(len(w))
        w -= np.linalg.solve(hessian, a.T @ (p - y) + 1e-2 * w)
    return float(((a_val @ w > 0) == (y_val > 0.5)).mean())


def test_the_folders_are_complete_and_small() -> None:
    """Every planned image exists and nothing else, and all together stay a small download."""
    found = {p.relative_to(images_dir()) for p in images_dir().rglob("*") if p.is_file()}
    assert found == {plan.path for plan in plans()}
    for split, least in {"train": 120, "val": 40}.items():
        for name in CLASSES:
            assert len(list((images_dir() / split / name).glob("*.jpg"))) >= least
    assert sum((images_dir() / path).stat().st_size for path in found) < 3_500_000


def test_every_image_is_a_jpeg_of_128_pixels() -> None:
    """The files have the format of their names."""
    for plan in plans():
        with Image.open(images_dir() / plan.path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (128, 128))
            image.load()


def test_mean_colour_does_not_solve_the_task(
    splits: dict[str, tuple[NDArray[np.uint8], Floats]],
) -> None:
    """A classifier on three numbers per image is hardly better than guessing."""
    (train, y), (val, y_val) = splits["train"], splits["val"]
    accuracy = logistic_accuracy(train.mean((1, 2)), y, val.mean((1, 2)), y_val)
    assert accuracy < 0.70


def test_the_colour_check_finds_a_task_that_colour_solves(
    splits: dict[str, tuple[NDArray[np.uint8], Floats]],
) -> None:
    """The same regression solves the task if one class is a little redder."""
    (train, y), (val, y_val) = splits["train"], splits["val"]
    x, x_val = train.mean((1, 2)), val.mean((1, 2))
    shift = 1.5 * x.std(0) * np.array([1.0, -1.0, -1.0])
    accuracy = logistic_accuracy(x + np.outer(y, shift), y, x_val + np.outer(y_val, shift), y_val)
    assert accuracy > 0.90


@pytest.mark.parametrize(
    "plan",
    [p for p in plans() if p.split == "val" and p.index in (0, 7, 22)],
    ids=lambda p: p.path.stem,
)
def test_the_program_draws_the_committed_image(plan: Plan) -> None:
    """Drawing an image again gives the committed picture."""
    committed = _pixels(images_dir() / plan.path).astype(float)
    # Encoded as JPEG too, so that only versions of the encoder can differ.
    redrawn = _pixels(BytesIO(encode(draw(plan)))).astype(float)
    assert np.abs(committed - redrawn).mean() < TOLERANCE


def test_another_seed_is_another_image() -> None:
    """Two drawings differ by more than the tolerance of the test above."""
    plan = next(plans())
    other = Plan(plan.split, plan.label, plan.index, plan.seed + 5_000)
    committed = _pixels(images_dir() / plan.path).astype(float)
    assert np.abs(committed - np.asarray(draw(other), float)).mean() > 10 * TOLERANCE


def test_seeds_are_never_shared() -> None:
    """No two images, of any split or class, have the same seed."""
    seeds = [plan.seed for plan in plans()]
    assert len(set(seeds)) == len(seeds)


def test_no_two_images_are_near_duplicates(
    splits: dict[str, tuple[NDArray[np.uint8], Floats]],
) -> None:
    """Any two pictures differ clearly even at 8 × 8 pixels, within and across splits."""
    images = np.concatenate([splits[split][0] for split in COUNTS]).astype(np.float32)
    small = images.reshape(len(images), 8, 16, 8, 16, 3).mean((2, 4)).reshape(len(images), -1)
    closest = min(
        np.abs(small[i + 1 :] - small[i]).mean(axis=1).min() for i in range(len(small) - 1)
    )
    assert closest > 5.0
