"""Which images are for training and which for validation: stratified, and decided by a seed."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from operator import itemgetter

from engine.data.samples import DataProblem, ImageFolder, Sample, printable

VALIDATION_SHARE = 0.2
YARDSTICK = 64
"""Images of the yardstick, at most."""


def _by_label(samples: Iterable[Sample]) -> dict[int, list[Sample]]:
    groups: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.label].append(sample)
    return dict(sorted(groups.items()))


def stratified(samples: Iterable[Sample], seed: int) -> tuple[list[Sample], list[Sample]]:
    """Training and validation images: a fifth of every class for validation.

    At least one image of a class is for validation; of a class with a single image none is.

    Args:
        samples: In an order that does not depend on the file system.
        seed: Of the split.
    """
    train: list[Sample] = []
    val: list[Sample] = []
    for label, mine in _by_label(samples).items():
        count = max(1, round(len(mine) * VALIDATION_SHARE)) if len(mine) > 1 else 0
        chosen = set(random.Random(f"{seed} {label}").sample(range(len(mine)), count))
        val += [sample for place, sample in enumerate(mine) if place in chosen]
        train += [sample for place, sample in enumerate(mine) if place not in chosen]
    return train, val


def split_folds(folder: ImageFolder, count: int, seed: int) -> list[ImageFolder]:
    """Splits for cross-validation over all images: each is validated exactly once.

    Args:
        folder: Its training and validation images together are split anew, stratified.
        count: The number of folds.
        seed: Of the split.

    Raises:
        DataProblem: fewer than two folds, or more than the smallest class has images.
    """
    groups = _by_label({*folder.train, *folder.val})
    for mine in groups.values():
        mine.sort(key=itemgetter(0))
    fewest = min(groups, key=lambda label: len(groups[label]))
    most, name = len(groups[fewest]), printable(folder.classes[fewest])
    if count < 2:
        raise DataProblem(f"--folds {count}: the least is 2.")
    if most < 2:
        raise DataProblem(
            f"--folds {count}: the class {name} has one image, which cannot be trained on and "
            "validated in turn; add images."
        )
    if count > most:
        raise DataProblem(
            f"--folds {count}: the class {name} has only {most} images; "
            f"use at most {most} folds, or add images."
        )
    placed: list[tuple[Sample, int]] = []
    first = 0
    for label, mine in groups.items():
        # What is left over goes to other folds than the class before's.
        numbers = [(first + place) % count for place in range(len(mine))]
        random.Random(f"{seed} fold {label}").shuffle(numbers)
        placed += zip(mine, numbers, strict=True)
        first += len(mine)
    return [
        ImageFolder(
            folder.name,
            folder.classes,
            tuple(sample for sample, place in placed if place != number),
            tuple(sample for sample, place in placed if place == number),
        )
        for number in range(count)
    ]


def yardstick_of(folder: ImageFolder, seed: int) -> tuple[Sample, ...]:
    """Up to 64 fixed validation images, the classes in the proportion that val/ has them.

    No class that has validation images is left out, if there are at most 64 of them.
    """
    if len(folder.val) <= YARDSTICK:
        return folder.val
    drawn = random.Random(f"{seed} yardstick").sample(folder.val, len(folder.val))
    groups = _by_label(drawn)
    if len(groups) > YARDSTICK:
        return tuple(sorted(drawn[:YARDSTICK]))
    shares = {label: len(mine) * YARDSTICK / len(drawn) for label, mine in groups.items()}
    counts = {label: max(1, int(share)) for label, share in shares.items()}
    while (short := YARDSTICK - sum(counts.values())) != 0:
        # The largest remainder gets one more; a class that got its one for free costs another's.
        step = 1 if short > 0 else -1
        may = [label for label in groups if 1 < counts[label] + (short > 0)]
        label = max(may, key=lambda label: step * (shares[label] - counts[label]))
        counts[label] += step
    return tuple(sorted(s for label, mine in groups.items() for s in mine[: counts[label]]))
