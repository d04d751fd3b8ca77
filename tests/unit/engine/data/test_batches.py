"""Batches have a seeded order, leave out unreadable images and reuse decoded ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms._presets import ImageClassification

from engine.data.batch_order import Cursor
from engine.data.batches import Decoder
from engine.data.dataset.image_folder import open_folder
from engine.data.decoding import read_rgb
from engine.data.samples import DataProblem, Sample
from engine.data.train_batches import TrainBatches
from tests.support.driven_session import draw_images


def instant(image: Image.Image) -> torch.Tensor:
    return torch.zeros(3, 2, 2)


@given(count=st.integers(2, 40), size=st.integers(2, 12), seed=st.integers(0, 5))
def test_an_epoch_has_every_image_once_and_no_batch_of_one_image(
    count: int, size: int, seed: int
) -> None:
    samples = tuple(Sample(str(number), 0) for number in range(count))
    batches = TrainBatches(samples, min(size, count), seed, Decoder(instant, threads=1))
    epoch = [batches.samples_at(position) for position in range(batches.batches_per_epoch)]
    assert sorted(s.path for batch in epoch for s in batch) == sorted(s.path for s in samples)
    assert all(len(batch) > 1 for batch in epoch)


def test_the_order_depends_only_on_seed_and_epoch() -> None:
    samples = tuple(Sample(str(number), 0) for number in range(20))

    def order(seed: int, positions: range) -> list[str]:
        batches = TrainBatches(samples, 5, seed, Decoder(instant, threads=1))
        return [s.path for p in positions for s in batches.samples_at(p)]

    first, second = order(0, range(4)), order(0, range(4, 8))
    assert first != second and sorted(first) == sorted(second)
    assert order(0, range(4, 8)) == second, "the order depends on earlier calls"
    assert order(1, range(4)) != first


def test_restoring_the_cursor_repeats_the_same_batches(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path, size=8))

    def transform(image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float()

    decoder = Decoder(transform, threads=2)
    batches = TrainBatches(folder.train, 5, 0, decoder)
    first = [batches.take() for _ in range(6)]
    batches.put_back(Cursor(0, 1))
    again = [batches.take() for _ in range(5)]
    for one, other in zip(first[1:], again, strict=True):
        assert torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)
    decoder.close()


# --- unreadable images --------------------------------------------------------------------------


def levels(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float()


def batches_of(samples: tuple[Sample, ...], size: int = 4, threads: int = 2) -> TrainBatches:
    return TrainBatches(samples, size, 0, Decoder(levels, threads))


def test_samples_labels_and_images_are_in_the_same_order(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path, size=8))
    for sample in folder.train[::3]:
        Path(sample.path).write_bytes(b"no image")
    batches = batches_of(folder.train, 8)
    count, unreadable = 0, []
    while batches.cursor.epoch == 0:
        batch = batches.take()
        count += len(batch.samples) + len(batch.skipped)
        assert batch.labels.tolist() == [sample.label for sample in batch.samples]
        for sample, image in zip(batch.samples, batch.images, strict=True):
            assert torch.equal(image, levels(read_rgb(sample.path)))
        unreadable += [sample.path for sample, _ in batch.skipped]
    assert count == len(folder.train)
    assert sorted(unreadable) == sorted(sample.path for sample in folder.train[::3])


def test_an_error_is_raised_if_no_image_can_be_read(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path, size=8))
    for sample in folder.train:
        Path(sample.path).unlink()
    batches = batches_of(folder.train)
    with pytest.raises(DataProblem, match="24 of 24 training images cannot be read") as caught:
        batches.take()
    assert "there is no such file" in str(caught.value)


def test_a_batch_size_above_the_number_of_images_gives_one_batch(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path, train=3, size=8))
    batches = batches_of(folder.train, 100)
    assert batches.batches_per_epoch == 1
    assert len(batches.take().labels) == len(batches.take().labels) == 6
    assert batches.position == 2 and batches.take().epoch == 3


def test_peek_returns_the_next_batch(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path, size=8))
    batches = batches_of(folder.train)
    peeked, position = batches.peek(), batches.position
    taken = batches.take()
    assert position == 0 and peeked.samples == taken.samples
    assert torch.equal(peeked.images, taken.images)


def test_an_elongated_image_does_not_exhaust_memory(tmp_path: Path) -> None:
    """Resizing the shorter side of the whole strip would take 20 GB."""
    Image.new("RGB", (1, 60_000), "red").save(tmp_path / "strip.png")
    decoder = Decoder(ImageClassification(crop_size=224), threads=1)
    samples = (Sample(str(tmp_path / "strip.png"), 0),)
    (batch,) = decoder.batches(samples, 1)
    assert batch.images.shape == (1, 3, 224, 224) and not batch.skipped
    decoder.close()


@given(count=st.integers(1, 30), size=st.integers(1, 9))
def test_validation_batches_have_every_image_in_order(count: int, size: int) -> None:
    decoder = Decoder(instant, threads=1)
    samples = tuple(Sample(f"nowhere/{number}", 0) for number in range(count))
    parts = list(decoder.batches(samples, size))
    assert [sample.path for batch in parts for sample, _ in batch.skipped] == [
        s.path for s in samples
    ]
    assert [len(batch.skipped) for batch in parts[:-1]] == [size] * (len(parts) - 1)
    decoder.close()


def test_configuring_the_same_settings_keeps_batches_decoded_ahead(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path, size=8))
    read: list[int] = []

    def counted(image: Image.Image) -> torch.Tensor:
        read.append(1)
        return levels(image)

    batches = TrainBatches(folder.train, 4, 0, Decoder(counted, 1))
    batches.peek()
    first = len(read)
    assert first == 4 + 2  # and the two images that decide whether another batch follows
    batches.configure(augmentation="none", balance=False)
    batches.peek()
    assert len(read) == first
    batches.configure(augmentation="none", balance=True)
    batches.peek()
    assert len(read) > first


def test_augmentation_requires_a_preset(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="preset"):
        batches_of((Sample("a", 0), Sample("b", 1))).configure(augmentation="light", balance=False)


def test_decoded_images_are_reused_unless_the_file_changed(tmp_path: Path) -> None:
    preset = ImageClassification(crop_size=24, resize_size=32)
    random = np.random.default_rng(0)
    samples = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8)).save(path)
        samples.append(Sample(str(path), 0))
    keeping = Decoder(preset, threads=2, keep=4 * 3 * 24 * 24)  # room for four of six images
    plain = Decoder(preset, threads=2)
    for _ in range(3):
        (one,) = keeping.batches(samples, 6)
        (two,) = plain.batches(samples, 6)
        assert torch.equal(one.images, two.images)
        reference = torch.stack([preset(Image.open(s.path).convert("RGB")) for s in samples])
        assert torch.equal(one.images, reference)
    assert (keeping.decoded.hits, keeping.decoded.bytes) == (8, 4 * 3 * 24 * 24)
    assert plain.decoded.hits == 0
    other = Image.fromarray(random.integers(0, 256, (60, 50, 3), np.uint8))
    other.save(samples[0].path)
    (changed,) = keeping.batches(samples, 6)
    assert torch.equal(changed.images[0], preset(other))
    assert not torch.equal(changed.images[0], reference[0])
    keeping.close()
    plain.close()


def test_augmentation_reuses_decoded_images(tmp_path: Path) -> None:
    preset = ImageClassification(crop_size=24, resize_size=32)
    path = tmp_path / "one.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)).save(path)
    samples = (Sample(str(path), 0),) * 4
    made = []
    for keep in (0, 1 << 20):
        decoder = Decoder(preset, threads=2, keep=keep)
        batches = TrainBatches(samples, 2, 0, decoder)
        batches.configure(augmentation="standard", balance=False)
        made.append(torch.cat([batches.take().images for _ in range(4)]))
        decoder.close()
    assert torch.equal(*made)
    assert decoder.decoded.hits > 0 and decoder.decoded.bytes == 3 * 40 * 50
