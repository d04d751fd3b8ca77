"""What the model says to every validation image: counts, confusion, the most wrong ones.

Kept by image, so that two results on the same images can be compared image by image. Imports no
torch.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tl_tui.common.metrics import mcnemar
from tl_tui.protocol.results import Comparison, ResultsShown, WrongImage
from tl_tui.protocol.training import Validated

MOST_WRONG = 100
"""Images that are kept with their paths."""


@dataclass
class Evaluation:
    """The answers to a whole set of images, as they come."""

    weights: tuple[int, int, int]
    """Which weights answered: `Course.here`."""
    epoch: int
    classes: int
    right: dict[str, bool] = field(default_factory=dict)
    """By path."""
    loss: float = 0.0
    per_class: list[list[int]] = field(default_factory=list)
    confusion: Counter[tuple[int, int]] = field(default_factory=Counter)
    _wrong: list[tuple[float, str, WrongImage]] = field(default_factory=list)
    """A heap; the least wrong one on top."""

    def __post_init__(self) -> None:
        self.per_class = [[0, 0] for _ in range(self.classes)]

    def add(
        self,
        paths: Iterable[str],
        labels: Sequence[int],
        predicted: Sequence[int],
        probability: Sequence[float],
        label_probability: Sequence[float],
        loss: Sequence[float],
    ) -> None:
        """A batch of answers, one entry an image."""
        self.loss += sum(loss)
        for number, path in enumerate(paths):
            label, said = labels[number], predicted[number]
            self.right[path] = said == label
            self.per_class[label][1] += 1
            self.per_class[label][0] += said == label
            self.confusion[label, said] += 1
            if said != label:
                wrong = WrongImage(
                    path, label, said, probability[number], label_probability[number]
                )
                entry = (probability[number], path, wrong)
                if len(self._wrong) < MOST_WRONG:
                    heapq.heappush(self._wrong, entry)
                else:
                    heapq.heappushpop(self._wrong, entry)

    @property
    def start(self) -> int:
        return self.weights[0]

    @property
    def step(self) -> int:
        return self.weights[1]

    @property
    def correct(self) -> int:
        return sum(right for right, _ in self.per_class)

    @property
    def total(self) -> int:
        return sum(total for _, total in self.per_class)

    @property
    def wrong(self) -> list[WrongImage]:
        """The most wrong images, surest first."""
        return [entry[2] for entry in sorted(self._wrong, key=lambda e: (-e[0], e[1]))]

    @property
    def _classes(self) -> tuple[tuple[int, int], ...]:
        return tuple((right, total) for right, total in self.per_class)

    def validated(self, *, yardstick: bool, best: bool, skipped_images: int) -> Validated:
        """The short event; there must have been an image."""
        return Validated(
            start=self.start,
            step=self.step,
            correct=self.correct,
            total=self.total,
            loss=self.loss / self.total,
            yardstick=yardstick,
            epoch=self.epoch,
            per_class=() if yardstick else self._classes,
            best=best,
            skipped_images=skipped_images,
        )

    def results(self, others: Iterable[Evaluation], *, stale: bool) -> ResultsShown:
        """The whole of it, beside earlier results on the same images."""
        return ResultsShown(
            start=self.start,
            step=self.step,
            epoch=self.epoch,
            correct=self.correct,
            total=self.total,
            loss=self.loss / self.total,
            per_class=self._classes,
            confusion=tuple((a, b, count) for (a, b), count in sorted(self.confusion.items())),
            most_wrong=tuple(self.wrong),
            comparisons=tuple(self.beside(other) for other in others),
            stale=stale,
        )

    def beside(self, other: Evaluation) -> Comparison:
        """Image by image; images that only one of them could read do not count."""
        both = self.right.keys() & other.right.keys()
        only_this = sum(self.right[path] and not other.right[path] for path in both)
        only_other = sum(other.right[path] and not self.right[path] for path in both)
        return Comparison(
            other=f"start {other.start}, step {other.step}",
            other_correct=other.correct,
            other_total=other.total,
            only_this=only_this,
            only_other=only_other,
            p=mcnemar(only_this, only_other),
        )
