"""Splits, folds and the yardstick are stratified, seeded and complete."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.dataset.image_folder import open_folder
from engine.data.samples import ImageFolder, Sample
from engine.data.splits import split_folds, stratified, yardstick_of
from tests.support.driven_session import draw_images
from tl_tui.common.errors import Problem

COUNTS = st.lists(st.integers(2, 30), min_size=2, max_size=6)
COUNTS_FROM_ONE = st.lists(st.integers(1, 60), min_size=1, max_size=6)


def make_folder(counts: list[int]) -> ImageFolder:
    samples = tuple(
        Sample(f"{label}/{number:03}", label)
        for label, count in enumerate(counts)
        for number in range(count)
    )
    names = tuple(str(label) for label in range(len(counts)))
    return ImageFolder("made up", names, samples[::2], samples[1::2])


@given(COUNTS, st.integers(2, 6), st.integers(0, 99))
def test_folds_are_stratified_and_validate_every_image_once(counts, count, seed) -> None:
    folder = make_folder(counts)
    if count > min(counts):
        with pytest.raises(Problem, match="use at most"):
            split_folds(folder, count, seed)
        return
    parts = split_folds(folder, count, seed)
    everything = sorted(folder.train + folder.val)
    assert sorted(sample for part in parts for sample in part.val) == everything
    for part in parts:
        assert sorted(part.train + part.val) == everything
        for label, images in enumerate(counts):
            in_fold = sum(sample.label == label for sample in part.val)
            assert images // count <= in_fold <= images // count + 1
    assert parts == split_folds(folder, count, seed)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=100), st.integers(0, 9))
def test_the_yardstick_has_at_most_64_images_of_the_validation_set(counts, seed) -> None:
    samples = tuple(
        Sample(f"{label}/{number:03}", label)
        for label, count in enumerate(counts)
        for number in range(count)
    )
    names = tuple(map(str, range(len(counts))))
    chosen = yardstick_of(ImageFolder("made up", names, (), samples), seed)
    assert len(chosen) == len(set(chosen)) == min(64, len(chosen))
    assert set(chosen) <= set(samples)
    if len(samples) <= 64:
        assert chosen == samples
    elif len(counts) > 32:
        assert len(chosen) == 64


def test_the_yardstick_is_fixed_and_stratified(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path, train=2, val=60, size=8))
    yardstick = yardstick_of(folder, seed=3)
    assert len(yardstick) == 64 and yardstick == yardstick_of(folder, seed=3)
    assert sum(sample.label for sample in yardstick) == 32


@given(COUNTS_FROM_ONE, st.integers(0, 99))
def test_a_fifth_of_every_class_is_used_for_validation(counts, seed) -> None:
    samples = [Sample(f"{label}/{n:03}", label) for label, c in enumerate(counts) for n in range(c)]
    train, val = stratified(samples, seed)
    assert sorted(train + val) == samples
    assert (train, val) == stratified(samples, seed)
    per_class = Counter(sample.label for sample in val)
    for label, count in enumerate(counts):
        assert per_class[label] == (0 if count == 1 else max(1, round(count / 5)))


def test_the_split_depends_on_the_seed() -> None:
    samples = [Sample(f"{number:03}", number % 2) for number in range(100)]
    assert stratified(samples, 0)[1] != stratified(samples, 1)[1]


def test_folds_of_a_class_with_one_image_are_refused() -> None:
    with pytest.raises(Problem, match="the class 1 has one image"):
        split_folds(make_folder([5, 1, 5]), 2, 0)
