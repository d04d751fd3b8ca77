"""Augmentation is seeded per image and independent of the number of decoding threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from engine.data.augmentation import Augmentation, light_crop, standard_crop
from engine.data.batches import Decoder
from engine.data.dataset.image_folder import open_folder
from engine.data.decoding import read_rgb
from engine.data.samples import Sample
from engine.data.train_batches import TrainBatches
from tests.support.driven_session import draw_images

PRESET = ImageClassification(crop_size=24, resize_size=28)


def noise(width: int = 40, height: int = 30) -> Image.Image:
    random = np.random.default_rng(1)
    return Image.fromarray(random.integers(0, 255, (height, width, 3), dtype=np.uint8))


def train_epochs(folder, threads: int, *, name: str, epochs: int = 2, balance: bool = False):  # type: ignore[no-untyped-def]
    """Take the batches of a number of epochs."""
    decoder = Decoder(PRESET, threads)
    batches = TrainBatches(folder.train, 8, 3, decoder)
    batches.configure(augmentation=name, balance=balance)
    taken = [batches.take() for _ in range(epochs * batches.batches_per_epoch)]
    decoder.close()
    return taken


@pytest.mark.parametrize("name", ["none", "light", "standard"])
@pytest.mark.parametrize("balance", [False, True])
def test_batches_are_bit_identical_with_one_or_eight_threads(
    name: str, balance: bool, tmp_path: Path
) -> None:
    folder = open_folder(draw_images(tmp_path))
    before = torch.get_rng_state()
    with_one = train_epochs(folder, 1, name=name, balance=balance)
    with_eight = train_epochs(folder, 8, name=name, balance=balance)
    for first, second in zip(with_one, with_eight, strict=True):
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.labels, second.labels)
        assert first.samples == second.samples
    assert torch.equal(before, torch.get_rng_state()), "the global generator was used"


def test_each_epoch_augments_an_image_differently(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path))
    views: dict[str, list[torch.Tensor]] = {}
    for batch in train_epochs(folder, 2, name="standard", epochs=3):
        for sample, image in zip(batch.samples, batch.images, strict=True):
            views.setdefault(sample.path, []).append(image)
    for images in views.values():
        assert len(images) == 3
        assert not torch.equal(images[0], images[1]) and not torch.equal(images[1], images[2])


@given(st.integers(0, 2**31), st.integers(1, 1000), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_augmentation_depends_only_on_seed_epoch_and_index(seed, epoch, index) -> None:
    image = noise()
    made = [Augmentation("standard", PRESET, seed)(image, epoch, index) for _ in range(2)]
    assert torch.equal(*made)
    assert made[0].shape == (3, 24, 24) and made[0].dtype == torch.float32
    assert not torch.equal(made[0], Augmentation("standard", PRESET, seed)(image, epoch, index + 1))
    assert not torch.equal(made[0], Augmentation("standard", PRESET, seed)(image, epoch + 1, index))


SIDES = st.integers(1, 90)


def uniform(seed: int) -> Callable[[float, float], float]:
    return np.random.default_rng(seed).uniform


@given(SIDES, SIDES, st.floats(0.3, 1.2), st.integers(0, 999))
def test_every_crop_lies_within_the_image(width, height, share, seed) -> None:
    light = light_crop((width, height), share, uniform(seed))
    for top, left, high, wide in (light, standard_crop((width, height), uniform(seed))):
        assert 0 <= top and 0 <= left and 1 <= high and 1 <= wide
        assert top + high <= height and left + wide <= width
    assert light[2] == light[3], "a light crop must be square"


def test_a_light_crop_shifts_and_scales_the_centre_crop_by_up_to_a_tenth() -> None:
    centre_side = 400 * 0.875  # the shorter side times the share of the centre crop
    crops = [light_crop((600, 400), 0.875, uniform(seed)) for seed in range(300)]
    sides = [high for _, _, high, _ in crops]
    centres = [(top + high / 2 - 200, left + wide / 2 - 300) for top, left, high, wide in crops]
    assert 0.9 * centre_side - 1 <= min(sides) < 0.93 * centre_side
    assert 1.07 * centre_side < max(sides) <= 1.1 * centre_side + 1
    for shifts in zip(*centres, strict=True):
        assert -0.1 * centre_side - 1 <= min(shifts) and max(shifts) <= 0.1 * centre_side + 1
    horizontal = [left for _, left in centres]
    assert min(horizontal) < -0.08 * centre_side and max(horizontal) > 0.08 * centre_side


def test_a_standard_crop_has_the_documented_area_and_aspect_ratio() -> None:
    crops = [standard_crop((400, 400), uniform(seed)) for seed in range(300)]
    areas = [high * wide / 400**2 for _, _, high, wide in crops]
    aspects = [wide / high for _, _, high, wide in crops]
    assert 0.345 <= min(areas) < 0.42 and max(areas) > 0.9
    assert 0.74 <= min(aspects) < 0.8 and 1.25 < max(aspects) <= 1.345


def test_an_elongated_image_is_not_distorted() -> None:
    assert standard_crop((1000, 10), uniform(0)) == (0, 493, 10, 13)
    assert standard_crop((10, 1000), uniform(0)) == (493, 0, 13, 10)


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (24, 24), (5, 90), (1, 1)])
def test_augmented_images_have_one_shape_for_any_image_size(size: tuple[int, int]) -> None:
    for name in ("light", "standard"):
        augment = Augmentation(name, PRESET, 0)  # type: ignore[arg-type]
        assert {augment(noise(*size), 1, index).shape for index in range(8)} == {(3, 24, 24)}


def test_normalisation_is_that_of_the_preset() -> None:
    """A plain image, which no crop changes, equals the preset's result bit for bit."""
    plain = Image.new("RGB", (50, 40), (200, 90, 30))
    for interpolation in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC):
        preset = ImageClassification(
            crop_size=24, resize_size=28, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7),
            interpolation=interpolation,
        )  # fmt: skip
        assert torch.equal(Augmentation("light", preset, 0)(plain, 1, 0), preset(plain))


def test_half_of_the_images_are_flipped() -> None:
    """An image with a bright left half is bright on the right if it was flipped."""
    pixels = np.zeros((40, 40, 3), dtype=np.uint8)
    pixels[:, :20] = 255
    augment = Augmentation("light", PRESET, 0)
    images = [augment(Image.fromarray(pixels), 1, index) for index in range(200)]
    flipped = sum(bool(image[..., 0].mean() < image[..., -1].mean()) for image in images)
    assert 70 < flipped < 130


def test_changing_augmentation_discards_batches_decoded_ahead(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path))
    decoder = Decoder(PRESET, 2)
    batches, fresh = (TrainBatches(folder.train, 8, 3, decoder) for _ in range(2))
    batches.take()  # starts decoding the second batch
    batches.configure(augmentation="standard", balance=True)
    fresh.configure(augmentation="standard", balance=True)
    fresh.take()
    assert torch.equal(batches.take().images, fresh.take().images)
    batches.configure(augmentation="none", balance=False)
    plain = batches.take()
    for sample, image in zip(plain.samples, plain.images, strict=True):
        assert torch.equal(image, PRESET(read_rgb(sample.path)))
    decoder.close()


def test_light_keeps_colours_and_standard_changes_them() -> None:
    grey = Image.new("RGB", (40, 40), (120, 120, 120))
    mean, std = torch.tensor(PRESET.mean).view(3, 1, 1), torch.tensor(PRESET.std).view(3, 1, 1)
    levels = {}
    for name in ("light", "standard"):
        augment = Augmentation(name, PRESET, 0)  # type: ignore[arg-type]
        levels[name] = [float((augment(grey, 1, i) * std + mean).mean() * 255) for i in range(20)]
    assert levels["light"] == pytest.approx([120] * 20, abs=0.6)
    assert max(levels["standard"]) - min(levels["standard"]) > 15
    assert all(90 < level < 150 for level in levels["standard"])


# --- balance ------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.integers(2, 12), st.integers(0, 99))
@settings(deadline=None)
def test_a_balanced_epoch_draws_every_class_equally_often(counts, batch_size, seed) -> None:
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
        per_class = [sum(sample.label == label for sample in drawn) for label in range(len(counts))]
        # A last batch of one image is merged, so an epoch always has all of its draws.
        assert sum(per_class) == len(samples)
        assert max(per_class) - min(per_class) <= 1
        for label, count in enumerate(counts):
            times = [drawn.count(Sample(f"{label}/{n}", label)) for n in range(count)]
            assert max(times) - min(times) <= 1, "images of a class are drawn equally often"


def test_repeated_images_in_an_epoch_are_augmented_differently(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path))
    rare = folder.train[:10] + tuple(s for s in folder.train if s.label == 1)[:2]
    unbalanced = type(folder)(folder.name, folder.classes, rare, folder.val)
    views: dict[str, list[torch.Tensor]] = {}
    for batch in train_epochs(unbalanced, 2, name="light", epochs=1, balance=True):
        for sample, image in zip(batch.samples, batch.images, strict=True):
            views.setdefault(sample.path, []).append(image)
    repeated = [images for images in views.values() if len(images) > 1]
    assert repeated
    assert all(not torch.equal(images[0], images[1]) for images in repeated)
