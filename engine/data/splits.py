"""Stratified, seeded splits into training and validation images, folds and the yardstick."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from operator import itemgetter

from engine.data.samples import DataProblem, ImageFolder, Sample, printable

VALIDATION_SHARE = 0.2
"""The share of each class that is used for validation."""
YARDSTICK = 64
"""The largest number of images in the yardstick."""


def _by_label(samples: Iterable[Sample]) -> dict[int, list[Sample]]:
    """Group samples by label; labels in ascending order, samples in their own order."""
    groups: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.label].append(sample)
    return dict(sorted(groups.items()))


def stratified(samples: Iterable[Sample], seed: int) -> tuple[list[Sample], list[Sample]]:
    """Split samples into training and validation: a fifth of every class for validation.

    A class with several images has at least one for validation; a class with one image has none.

    Args:
        samples: The samples, in an order that does not depend on the file system.
        seed: Random seed for the split.

    Returns:
        The training samples and the validation samples.
    """
    train: list[Sample] = []
    val: list[Sample] = []
    for label, group in _by_label(samples).items():
        count = max(1, round(len(group) * VALIDATION_SHARE)) if len(group) > 1 else 0
        chosen = set(random.Random(f"{seed} {label}").sample(range(len(group)), count))
        val += [sample for index, sample in enumerate(group) if index in chosen]
        train += [sample for index, sample in enumerate(group) if index not in chosen]
    return train, val


def split_folds(folder: ImageFolder, count: int, seed: int) -> list[ImageFolder]:
    """Return stratified splits for cross-validation; each image is validated exactly once.

    Args:
        folder: The dataset. Its training and validation images are pooled and split anew.
        count: The number of folds.
        seed: Random seed for the split.

    Returns:
        One dataset per fold.

    Raises:
        DataProblem: There are fewer than two folds, or more folds than images in some class.
    """
    groups = _by_label(folder.readable({*folder.train, *folder.val}))
    for group in groups.values():
        group.sort(key=itemgetter(0))
    smallest = min(groups, key=lambda label: len(groups[label]))
    fewest, name = len(groups[smallest]), printable(folder.classes[smallest])
    if count < 2:
        raise DataProblem(f"--folds {count}: use at least 2 folds.")
    if fewest < 2:
        raise DataProblem(
            f"--folds {count}: the class {name} has one image, which cannot be used both for "
            "training and for validation; add images."
        )
    if count > fewest:
        raise DataProblem(
            f"--folds {count}: the class {name} has only {fewest} images; "
            f"use at most {fewest} folds, or add images."
        )
    assigned: list[tuple[Sample, int]] = []
    first = 0
    for label, group in groups.items():
        # Start where the previous class ended, so that remainders spread over all folds.
        folds = [(first + index) % count for index in range(len(group))]
        random.Random(f"{seed} fold {label}").shuffle(folds)
        assigned += zip(group, folds, strict=True)
        first += len(group)
    return [
        ImageFolder(
            folder.name,
            folder.classes,
            tuple(sample for sample, fold in assigned if fold != number),
            tuple(sample for sample, fold in assigned if fold == number),
        )
        for number in range(count)
    ]


def yardstick_of(folder: ImageFolder, seed: int) -> tuple[Sample, ...]:
    """Return up to 64 fixed validation images, in the class proportions of the validation set.

    Every class with validation images is represented, if there are at most 64 such classes.
    """
    val = folder.readable(folder.val) or folder.val
    if len(val) <= YARDSTICK:
        return val
    shuffled = random.Random(f"{seed} yardstick").sample(val, len(val))
    groups = _by_label(shuffled)
    if len(groups) > YARDSTICK:
        return tuple(sorted(shuffled[:YARDSTICK]))
    shares = {label: len(group) * YARDSTICK / len(shuffled) for label, group in groups.items()}
    counts = {label: max(1, int(share)) for label, share in shares.items()}
    while (missing := YARDSTICK - sum(counts.values())) != 0:
        # Add an image to the class furthest below its share, or take one from the class furthest
        # above it, which makes up for classes that were raised to one image.
        step = 1 if missing > 0 else -1
        candidates = [label for label in groups if 1 < counts[label] + (missing > 0)]
        label = max(candidates, key=lambda label: step * (shares[label] - counts[label]))
        counts[label] += step
    return tuple(sorted(s for label, group in groups.items() for s in group[: counts[label]]))
