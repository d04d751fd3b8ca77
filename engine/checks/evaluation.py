"""The result of evaluating a model on a set of images: accuracy, confusion, most wrong images."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.checks.image_scores import ImageScores
from engine.data.samples import printable
from tl_tui.common.metrics import mcnemar
from tl_tui.protocol.measures import Measures
from tl_tui.protocol.results import Comparison, ResultsShown, WrongImage
from tl_tui.protocol.training import Validated

if TYPE_CHECKING:
    from torch import Tensor

    from engine.data.batches import Batch
    from engine.training.step_result import BatchPredictions

MOST_WRONG = 100
"""The number of wrongly classified images that are kept."""


@dataclass
class Evaluation:
    """Accumulates predictions batch by batch.

    Correctness is kept per image, so that two evaluations can be compared on the same images.
    """

    weights_version: tuple[int, int, int]
    """The evaluated weights: (start, step, restore id)."""
    epoch: int
    """The number of epochs begun."""
    classes: int
    """The number of classes."""
    is_correct: dict[str, bool] = field(default_factory=dict)
    """Whether each image was classified correctly, by its path."""
    loss: float = 0.0
    """The sum of the images' losses."""
    per_class: list[list[int]] = field(default_factory=list)
    """[correct, total] of each class."""
    confusion: Counter[tuple[int, int]] = field(default_factory=Counter)
    """The number of images by (label, prediction)."""
    scores: ImageScores | None = None
    """What the measures are computed from; None if they are not wanted, or computed already."""
    measures: Measures | None = None
    """See `measure`."""
    _wrong: list[tuple[float, str, WrongImage]] = field(default_factory=list)
    """A heap by probability, with the least confident mistake on top."""

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
        logits: Tensor | None = None,
    ) -> None:
        """Add the predictions for a batch; every argument has one entry per image.

        Args:
            paths: The images' paths.
            labels: The true classes.
            predicted: The predicted classes.
            probability: The probabilities of the predicted classes.
            label_probability: The probabilities of the true classes.
            loss: The losses.
            logits: The outputs, [N, classes], on the CPU; needed for `scores`.
        """
        if self.scores is not None and logits is not None:
            self.scores.add(labels, predicted, logits)
        self.loss += sum(loss)
        for number, path in enumerate(paths):
            label, prediction = labels[number], predicted[number]
            self.is_correct[path] = prediction == label
            self.per_class[label][1] += 1
            self.per_class[label][0] += prediction == label
            self.confusion[label, prediction] += 1
            if prediction != label:
                wrong = WrongImage(
                    path, label, prediction, probability[number], label_probability[number]
                )
                entry = (probability[number], path, wrong)
                if len(self._wrong) < MOST_WRONG:
                    heapq.heappush(self._wrong, entry)
                else:
                    heapq.heappushpop(self._wrong, entry)

    def add_batch(self, batch: Batch, predictions: BatchPredictions) -> None:
        """Add the trainer's predictions for a batch."""
        self.add(
            [printable(sample.path) for sample in batch.samples],
            batch.labels.tolist(),
            predictions.predicted,
            predictions.probability,
            predictions.label_probability,
            predictions.loss,
            predictions.logits,
        )

    def measure(self) -> Generator[None, None, None]:
        """Compute `measures` from the scores, one part per unit of work, and free these."""
        if self.scores is not None:
            self.measures = yield from self.scores.measure()
            self.scores = None

    @property
    def start(self) -> int:
        return self.weights_version[0]

    @property
    def step(self) -> int:
        return self.weights_version[1]

    @property
    def correct(self) -> int:
        return sum(correct for correct, _ in self.per_class)

    @property
    def total(self) -> int:
        return sum(total for _, total in self.per_class)

    @property
    def wrong(self) -> list[WrongImage]:
        """Wrongly classified images, the most confident mistakes first."""
        return [entry[2] for entry in sorted(self._wrong, key=lambda e: (-e[0], e[1]))]

    @property
    def class_counts(self) -> tuple[tuple[int, int], ...]:
        """(correct, total) of each class."""
        return tuple((correct, total) for correct, total in self.per_class)

    def validated(self, *, yardstick: bool, best: bool, skipped_images: int) -> Validated:
        """Return the event with the totals; at least one image must have been added."""
        return Validated(
            start=self.start,
            step=self.step,
            correct=self.correct,
            total=self.total,
            loss=self.loss / self.total,
            yardstick=yardstick,
            epoch=self.epoch,
            per_class=() if yardstick else self.class_counts,
            best=best,
            skipped_images=skipped_images,
        )

    def results(self, others: Iterable[Evaluation], *, stale: bool) -> ResultsShown:
        """Return all results, with comparisons to other evaluations on the same images.

        Args:
            others: The evaluations to compare with.
            stale: Whether the weights have changed since.
        """
        return ResultsShown(
            start=self.start,
            step=self.step,
            epoch=self.epoch,
            correct=self.correct,
            total=self.total,
            loss=self.loss / self.total,
            per_class=self.class_counts,
            confusion=tuple((a, b, count) for (a, b), count in sorted(self.confusion.items())),
            most_wrong=tuple(self.wrong),
            comparisons=tuple(self.compare(other) for other in others),
            stale=stale,
            measures=self.measures,
        )

    def compare(self, other: Evaluation) -> Comparison:
        """Compare with another evaluation, on the images that are in both."""
        mine, theirs = self.is_correct, other.is_correct
        both = mine.keys() & theirs.keys()
        only_this = sum(mine[path] and not theirs[path] for path in both)
        only_other = sum(theirs[path] and not mine[path] for path in both)
        return Comparison(
            other=f"start {other.start}, step {other.step}",
            other_correct=other.correct,
            other_total=other.total,
            only_this=only_this,
            only_other=only_other,
            p=mcnemar(only_this, only_other),
        )
