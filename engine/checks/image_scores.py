"""The outputs of an evaluation, image by image, from which its measures are computed."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from engine.checks import measures
from tl_tui.protocol.measures import (
    Averages,
    ClassMeasures,
    Measures,
    ReliabilityBin,
    Temperature,
    TemperatureMissing,
)

TOP = 5
"""Top-5 accuracy is measured if there are more classes than this."""
KEPT_BYTES = 256 * 1024**2
"""The most memory for the outputs of all images: 67,000 images of 1,000 classes."""
TEMPERATURE_IMAGES = 10_000
"""The most images on which a temperature is fitted; of more, a seeded sample is used."""
FEWEST_WRONG = 2
"""The fewest wrong images with which a temperature is fitted: every fold must leave one over."""


@dataclass(frozen=True)
class _ProbabilityScores:
    """What is measured on the probabilities of each image; each is [N]."""

    confidence: measures.Floats
    brier: measures.Floats
    in_top: measures.Booleans

    @classmethod
    def of(cls, labels: measures.Integers, logits: np.ndarray) -> _ProbabilityScores:
        probabilities = np.exp(measures.log_softmax(logits.astype(np.float64)))
        return cls(
            probabilities.max(axis=1),
            measures.brier(labels, probabilities),
            measures.in_top(labels, logits, TOP),
        )


class ImageScores:
    """Accumulates outputs batch by batch.

    All outputs are kept, because the ROC AUC and the temperature need them. If they exceed
    `KEPT_BYTES`, only five numbers per image are kept, and those two are not measured.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._labels: list[measures.Integers] = []
        self._predicted: list[measures.Integers] = []
        self._logits: list[np.ndarray] | None = []
        """None if they are not kept."""
        self._probability_scores: list[_ProbabilityScores] = []
        """Of the images whose logits are not kept."""
        self._bytes = 0
        self._finite = True

    def add(self, labels: Sequence[int], predicted: Sequence[int], outputs: Tensor) -> None:
        """Add a batch.

        Args:
            labels: The true classes, [N].
            predicted: The predicted classes, [N].
            outputs: The logits, [N, classes], float32, on the CPU.
        """
        logits = outputs.numpy()
        self._finite = self._finite and bool(np.isfinite(logits).all())
        if not self._finite:
            return
        self._labels.append(np.array(labels, dtype=np.int64))
        self._predicted.append(np.array(predicted, dtype=np.int64))
        self._bytes += logits.nbytes
        if self._logits is None:
            self._probability_scores.append(_ProbabilityScores.of(self._labels[-1], logits))
            return
        self._logits.append(logits)
        if self._bytes > KEPT_BYTES:
            self._probability_scores = list(map(_ProbabilityScores.of, self._labels, self._logits))
            self._logits = None

    def measure(self) -> Generator[None, None, Measures | None]:
        """Compute the measures, one part per unit of work; None if an output is not finite."""
        if not self._finite or not self._labels:
            return None
        scores = list(self._probability_scores)
        if self._logits is not None:
            for true, outputs in zip(self._labels, self._logits, strict=True):
                scores.append(_ProbabilityScores.of(true, outputs))
                yield
        labels, predicted = np.concatenate(self._labels), np.concatenate(self._predicted)
        confidence = np.concatenate([score.confidence for score in scores])
        counts = measures.count_classes(labels, predicted, self.classes)
        bins = measures.reliability_bins(confidence, labels == predicted)
        calibrated = yield from measures.calibrated_error(confidence)
        logits = None if self._logits is None else np.concatenate(self._logits)
        auc = yield from self._roc_auc(labels, logits)
        temperature: Temperature | None = None
        missing: TemperatureMissing | None = "not_kept"
        if logits is not None:
            temperature, missing = yield from fit_temperature(labels, logits)
        precision, recall, f1 = (
            measures.precision_by_class(counts),
            measures.recall_by_class(counts),
            measures.f1_by_class(counts),
        )
        known = [value for value in auc if value is not None]
        return Measures(
            per_class=tuple(
                ClassMeasures(_number(precision[c]), _number(recall[c]), _number(f1[c]), auc[c])
                for c in range(self.classes)
            ),
            macro=Averages(*(measures.macro_average(m, counts) for m in (precision, recall, f1))),
            weighted=Averages(
                *(measures.weighted_average(m, counts) for m in (precision, recall, f1))
            ),
            roc_auc=sum(known) / len(known) if known else None,
            top5=float(np.concatenate([score.in_top for score in scores]).mean())
            if self.classes > TOP
            else None,
            brier=float(np.concatenate([score.brier for score in scores]).mean()),
            ece=bins.error,
            ece_calibrated=calibrated.mean,
            ece_calibrated_high=calibrated.high,
            reliability=tuple(
                ReliabilityBin(int(images), float(mean), round(float(accuracy) * int(images)))
                for images, mean, accuracy in zip(
                    bins.images, bins.confidence, bins.accuracy, strict=True
                )
            ),
            temperature=temperature,
            temperature_missing=missing,
        )

    def _roc_auc(
        self, labels: measures.Integers, logits: np.ndarray | None
    ) -> Generator[None, None, list[float | None]]:
        """Return the area under the curve of each class against the rest."""
        if logits is None:
            return [None] * self.classes
        largest, normalizer = logits.max(axis=1).astype(np.float64), np.empty(len(labels))
        rows = max(1, measures.VALUES_PER_UNIT // self.classes)
        for first in range(0, len(labels), rows):
            part = slice(first, first + rows)
            normalizer[part] = measures.log_sum_exp(logits[part] - largest[part, None])
            yield
        areas: list[float | None] = []
        for index in range(self.classes):
            # Logarithms order images as their probabilities do, without rounding small ones to 0.
            # For two classes, the difference of the logits does so too, for both classes alike.
            scores = logits[:, index].astype(np.float64)
            if self.classes == 2:
                scores -= logits[:, 1 - index]
            else:
                scores = (scores - largest) - normalizer
            areas.append(_number(measures.roc_auc(labels == index, scores)))
            yield
        return areas


def fit_temperature(
    labels: measures.Integers, logits: np.ndarray
) -> Generator[None, None, tuple[Temperature | None, TemperatureMissing | None]]:
    """Fit and cross-fit a temperature.

    Args:
        labels: The true classes, [N].
        logits: The outputs, [N, classes].

    Returns:
        The temperature, or why there is none.
    """
    if len(labels) > TEMPERATURE_IMAGES:
        sample = np.random.default_rng(0).choice(len(labels), TEMPERATURE_IMAGES, replace=False)
        sample.sort()
        labels, logits = labels[sample], logits[sample]
    own = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    if (own < logits.max(axis=1)).sum() < FEWEST_WRONG:
        return None, "few_wrong"
    fitted = yield from measures.cross_fit_temperature(labels, logits)
    if fitted is None:
        return None, "not_found"
    return (
        Temperature(
            value=fitted.value,
            images=len(labels),
            folds=min(measures.FOLDS, len(labels)),
            nll_before=fitted.nll_before,
            nll_after=fitted.nll_after,
            ece_before=fitted.ece_before,
            ece_after=fitted.ece_after,
        ),
        None,
    )


def _number(value: float) -> float | None:
    """Return a Python float; None for nan."""
    return None if math.isnan(value) else float(value)
