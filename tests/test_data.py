"""Image folders as people have them, and batches whose order the seed decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.data import (
    DataProblem,
    Decoder,
    Sample,
    TrainBatches,
    open_folder,
    yardstick_of,
)
from tests.sessions import draw_images


def test_train_and_val_are_found(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path / "set", train=4, val=3))
    assert folder.classes == ("dark", "light") and folder.name == "set"
    assert (len(folder.train), len(folder.val)) == (8, 6)


def test_class_folders_alone_are_split_stratified_and_seeded(tmp_path: Path) -> None:
    root = draw_images(tmp_path, train=10, val=1) / "train"
    one, same, other = open_folder(root), open_folder(root), open_folder(root, seed=1)
    assert one == same and one.val != other.val
    assert [sum(s.label == label for s in one.val) for label in (0, 1)] == [2, 2]
    assert not {s.path for s in one.train} & {s.path for s in one.val}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, "no such folder"),
        (lambda root: root.write_text("x"), "is a file"),
        (lambda root: root.mkdir(), "no class folders"),
        (lambda root: (root / "cat").mkdir(parents=True), "hold no images"),
    ],
)
def test_a_folder_that_cannot_be_used(make, words: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "set")
    with pytest.raises(DataProblem, match=words):
        open_folder(tmp_path / "set")


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    root = draw_images(tmp_path)
    for file in (root / "train" / "light").iterdir():
        file.unlink()
    with pytest.raises(DataProblem, match="only one class"):
        open_folder(root)


def test_a_class_of_val_that_train_does_not_have(tmp_path: Path) -> None:
    root = draw_images(tmp_path)
    (root / "val" / "grey").mkdir()
    with pytest.raises(DataProblem, match="grey"):
        open_folder(root)


def test_the_yardstick_is_fixed_and_in_proportion(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path, train=2, val=60, size=8))
    yardstick = yardstick_of(folder, seed=3)
    assert len(yardstick) == 64 and yardstick == yardstick_of(folder, seed=3)
    assert sum(sample.label for sample in yardstick) == 32


# --- batches ------------------------------------------------------------------------------------


def instant(image: Image.Image) -> torch.Tensor:
    return torch.zeros(3, 2, 2)


@given(count=st.integers(2, 40), size=st.integers(2, 12), seed=st.integers(0, 5))
def test_an_epoch_takes_every_image_once_and_no_batch_is_of_one(
    count: int, size: int, seed: int
) -> None:
    samples = tuple(Sample(Path(str(number)), 0) for number in range(count))
    batches = TrainBatches(samples, min(size, count), seed, Decoder(instant, threads=1))
    epoch = [batches.samples_at(position) for position in range(batches.batches_per_epoch)]
    assert sorted(s.path.name for batch in epoch for s in batch) == sorted(
        s.path.name for s in samples
    )
    assert all(len(batch) > 1 for batch in epoch)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    samples = tuple(Sample(Path(str(number)), 0) for number in range(20))

    def order(seed: int, positions: range) -> list[str]:
        batches = TrainBatches(samples, 5, seed, Decoder(instant, threads=1))
        return [s.path.name for p in positions for s in batches.samples_at(p)]

    first, second = order(0, range(4)), order(0, range(4, 8))
    assert first != second and sorted(first) == sorted(second)
    assert order(0, range(4, 8)) == second, "whatever was asked before"
    assert order(1, range(4)) != first


def test_the_cursor_can_be_put_back(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path, size=8))

    def transform(image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float()

    decoder = Decoder(transform, threads=2)
    batches = TrainBatches(folder.train, 5, 0, decoder)
    first = [batches.take() for _ in range(6)]
    batches.put_back(1)
    again = [batches.take() for _ in range(5)]
    for one, other in zip(first[1:], again, strict=True):
        assert torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)
    decoder.close()
