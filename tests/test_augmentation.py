"""Augmentation: seeded by image, the same on any number of threads, and what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms._presets import ImageClassification

from engine.data import Augmentation, Decoder, Sample, TrainBatches, open_folder
from engine.data.augmentation import AMOUNTS
from tests.sessions import draw_images

PRESET = ImageClassification(crop_size=24, resize_size=28)


def noise(width: int = 40, height: int = 30) -> Image.Image:
    random = np.random.default_rng(1)
    return Image.fromarray(random.integers(0, 255, (height, width, 3), dtype=np.uint8))


def epoch_of(folder, threads: int, *, name: str, epochs: int = 2, balance: bool = False):  # type: ignore[no-untyped-def]
    decoder = Decoder(PRESET, threads)
    batches = TrainBatches(folder.train, 8, 3, decoder)
    batches.configure(augmentation=name, balance=balance)
    taken = [batches.take() for _ in range(epochs * batches.batches_per_epoch)]
    decoder.close()
    return taken


@pytest.mark.parametrize("name", ["none", "light", "standard"])
@pytest.mark.parametrize("balance", [False, True])
def test_one_thread_or_eight_make_the_same_bits(name: str, balance: bool, tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path))
    before = torch.get_rng_state()
    one = epoch_of(folder, 1, name=name, balance=balance)
    eight = epoch_of(folder, 8, name=name, balance=balance)
    for first, second in zip(one, eight, strict=True):
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.labels, second.labels)
        assert first.samples == second.samples
    assert torch.equal(before, torch.get_rng_state()), "the global generator is not touched"


def test_another_epoch_is_another_view_of_the_same_image(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path))
    views: dict[str, list[torch.Tensor]] = {}
    for batch in epoch_of(folder, 2, name="standard", epochs=3):
        for sample, image in zip(batch.samples, batch.images, strict=True):
            views.setdefault(sample.path, []).append(image)
    for three in views.values():
        assert len(three) == 3
        assert not torch.equal(three[0], three[1]) and not torch.equal(three[1], three[2])


@given(st.integers(0, 2**31), st.integers(1, 1000), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_an_image_is_a_function_of_seed_epoch_and_index(seed, epoch, index) -> None:
    image = noise()
    made = [Augmentation("standard", PRESET, seed)(image, epoch, index) for _ in range(2)]
    assert torch.equal(*made)
    assert made[0].shape == (3, 24, 24) and made[0].dtype == torch.float32
    assert not torch.equal(made[0], Augmentation("standard", PRESET, seed)(image, epoch, index + 1))
    assert not torch.equal(made[0], Augmentation("standard", PRESET, seed)(image, epoch + 1, index))


@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=4, max_size=4),
)
@settings(deadline=None)
def test_every_crop_lies_within_the_image(width, height, draws) -> None:
    for name in AMOUNTS:
        image = Image.new("RGB", (width, height))
        top, left, high, wide = Augmentation(name, PRESET, 0)._crop(image, draws)  # type: ignore[arg-type]
        assert 0 <= top and 0 <= left and 1 <= high and 1 <= wide
        assert top + high <= height and left + wide <= width


@pytest.mark.parametrize(("name", "least"), [("light", 0.75), ("standard", 0.35)])
def test_crops_have_the_area_that_is_promised(name: str, least: float) -> None:
    image, made = noise(400, 400), Augmentation(name, PRESET, 0)  # type: ignore[arg-type]
    random = np.random.default_rng(0)
    areas = []
    for _ in range(300):
        _, _, high, wide = made._crop(image, list(random.random(4)))
        areas.append(high * wide / 400**2)
    assert min(areas) >= least - 0.11 and min(areas) < least + 0.1 and max(areas) > 0.9


def test_light_keeps_colours_and_standard_changes_them() -> None:
    grey = Image.new("RGB", (40, 40), (120, 120, 120))
    mean, std = torch.tensor(PRESET.mean).view(3, 1, 1), torch.tensor(PRESET.std).view(3, 1, 1)
    levels = {}
    for name in ("light", "standard"):
        made = Augmentation(name, PRESET, 0)  # type: ignore[arg-type]
        levels[name] = [float((made(grey, 1, i) * std + mean).mean() * 255) for i in range(20)]
    assert levels["light"] == pytest.approx([120] * 20, abs=0.6)
    assert max(levels["standard"]) - min(levels["standard"]) > 15
    assert all(90 < level < 150 for level in levels["standard"])


# --- balance ------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.integers(2, 12), st.integers(0, 99))
@settings(deadline=None)
def test_a_balanced_epoch_draws_every_class_as_often(counts, batch_size, seed) -> None:
    samples = tuple(
        Sample(f"{label}/{number}", label)
        for label, count in enumerate(counts)
        for number in range(count)
    )
    batches = TrainBatches(samples, min(batch_size, len(samples)), seed, Decoder(PRESET, 1))
    batches.configure(augmentation="none", balance=True)
    for epoch in range(2):
        drawn = [
            sample
            for position in range(batches.batches_per_epoch)
            for sample in batches.samples_at(epoch * batches.batches_per_epoch + position)
        ]
        often = [sum(sample.label == label for sample in drawn) for label in range(len(counts))]
        # A last batch of one is merged, so an epoch always has all of its draws.
        assert sum(often) == len(samples)
        assert max(often) - min(often) <= 1
        for label, count in enumerate(counts):
            times = [drawn.count(Sample(f"{label}/{n}", label)) for n in range(count)]
            assert max(times) - min(times) <= 1, "no image again before all came as often"


def test_images_that_come_again_in_an_epoch_are_other_views(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path))
    rare = folder.train[:10] + tuple(s for s in folder.train if s.label == 1)[:2]
    unbalanced = type(folder)(folder.name, folder.classes, rare, folder.val)
    views: dict[str, list[torch.Tensor]] = {}
    for batch in epoch_of(unbalanced, 2, name="light", epochs=1, balance=True):
        for sample, image in zip(batch.samples, batch.images, strict=True):
            views.setdefault(sample.path, []).append(image)
    repeated = [images for images in views.values() if len(images) > 1]
    assert repeated
    assert all(not torch.equal(images[0], images[1]) for images in repeated)
