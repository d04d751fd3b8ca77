"""Measures of an evaluation beyond its accuracy: per class, averaged, and of its probabilities."""

from __future__ import annotations

from typing import Literal

import msgspec

TemperatureMissing = Literal["few_wrong", "not_found", "not_kept"]
"""Why no temperature was fitted. few_wrong: less than two images are wrong. not_found: no
temperature between .01 and 100 is best, such as for outputs that say nothing about the classes.
not_kept: there are too many outputs to keep in memory."""


class ClassMeasures(msgspec.Struct, frozen=True, array_like=True):
    """Measures of one class against all others."""

    precision: float | None
    """None if no image was predicted to be of the class."""
    recall: float | None
    """None if there are no images of the class."""
    f1: float | None
    """None if there are neither."""
    roc_auc: float | None
    """None if there are no images of the class, or of no other, or too many outputs to keep."""


class Averages(msgspec.Struct, frozen=True, array_like=True):
    """Precision, recall and F1 averaged over the classes that have images; such a class that was
    never predicted counts with precision 0."""

    precision: float
    recall: float
    f1: float


class ReliabilityBin(msgspec.Struct, frozen=True, array_like=True):
    """The images in one of 15 equal-width bins by the probability of their predicted class."""

    images: int
    confidence: float
    """The mean probability of the predicted class; 0 without images."""
    correct: int


class Temperature(msgspec.Struct, frozen=True, kw_only=True):
    """Temperature scaling: dividing the logits by a number makes the probabilities fit better.

    The values after it are cross-fitted: each fold is scaled by the temperature of the others.
    """

    value: float
    """Fitted on all images; above 1, the probabilities were too certain."""
    images: int
    """The number of images; of more than 10,000, a sample is used."""
    folds: int
    nll_before: float
    """Mean negative log-likelihood (cross-entropy)."""
    nll_after: float
    ece_before: float
    ece_after: float


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """All measures of an evaluation; the loss of the evaluation is its mean negative
    log-likelihood."""

    per_class: tuple[ClassMeasures, ...]
    macro: Averages
    """The mean over the classes that have images."""
    weighted: Averages
    """The mean over the classes, weighted by their images."""
    roc_auc: float | None
    """The mean over the classes that have one; for two classes, the area under the one curve."""
    top5: float | None
    """The share of images whose class is among the five most probable ones; None for at most five
    classes."""
    brier: float
    """The mean over the images of the squared error summed over the classes, 0 to 2."""
    ece: float
    """Expected calibration error, with 15 equal-width bins."""
    ece_calibrated: float
    """The mean ECE that a perfectly calibrated model with these probabilities would show."""
    ece_calibrated_high: float
    """The ECE that it would exceed in 5 % of evaluations."""
    reliability: tuple[ReliabilityBin, ...]
    temperature: Temperature | None
    temperature_missing: TemperatureMissing | None = None
    """Why there is no temperature; None if there is one."""
