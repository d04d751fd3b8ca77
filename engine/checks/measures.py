"""Measures of classification and of calibration, as pure functions of labels and outputs.

`labels` are true classes [N] and `predicted` predicted ones [N], both integers; `logits` and
`probabilities` have one row per image, [N, classes]. Functions that take long on many images are
generators: they yield None between parts of the work, and return the result.

References:
    Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 78,
    1950.
    Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning,
    AAAI 2015.
    Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017.
    Vaicenavicius et al., Evaluating model calibration in classification, AISTATS 2019.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

BINS = 15
"""The number of equal-width bins of the expected calibration error, as in Guo et al."""
FOLDS = 5
"""The number of parts in a cross-fit."""
COLDEST, HOTTEST = 0.01, 100.0
"""The range in which a temperature is sought."""
SIMULATIONS, FEWEST_SIMULATIONS = 1000, 100
"""How often a calibrated model is simulated; the fewest apply to more than 500,000 images."""
DRAWS = 50_000_000
"""The largest number of simulated predictions, unless fewer simulations would be run."""
DRAWS_PER_UNIT = 500_000
VALUES_PER_UNIT = 1_000_000
"""The number of logits in one part of the work."""


# --- classes ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassCounts:
    """What precision and recall are made of; each is [classes]."""

    correct: Integers
    images: Integers
    """The number of images of the class."""
    predicted: Integers
    """The number of images that were predicted to be of the class."""


def count_classes(labels: Integers, predicted: Integers, classes: int) -> ClassCounts:
    """Count the images, predictions and correct predictions of each class."""
    return ClassCounts(
        correct=np.bincount(labels[labels == predicted], minlength=classes),
        images=np.bincount(labels, minlength=classes),
        predicted=np.bincount(predicted, minlength=classes),
    )


def precision_by_class(counts: ClassCounts) -> Floats:
    """Return the share of the predictions of each class that are correct; nan without any."""
    return _ratio(counts.correct, counts.predicted)


def recall_by_class(counts: ClassCounts) -> Floats:
    """Return the share of the images of each class that are found; nan without any."""
    return _ratio(counts.correct, counts.images)


def f1_by_class(counts: ClassCounts) -> Floats:
    """Return the harmonic mean of precision and recall of each class.

    It is 0 if the class has images or predictions, but no correct one; nan if it has neither.
    """
    return _ratio(2 * counts.correct, counts.images + counts.predicted)


def macro_average(values: Floats, counts: ClassCounts) -> float:
    """Return the mean over the classes that have images; a class that was never predicted has 0.

    Args:
        values: A measure of each class, [classes].
        counts: The images of each class; there must be some.
    """
    present = counts.images > 0
    return float(np.nan_to_num(values[present]).mean())


def weighted_average(values: Floats, counts: ClassCounts) -> float:
    """Return the mean over the classes, weighted by their numbers of images.

    Args:
        values: A measure of each class, [classes]; nan counts as 0.
        counts: The images of each class; there must be some.
    """
    return float((np.nan_to_num(values) * counts.images).sum() / counts.images.sum())


def _ratio(part: Integers, whole: Integers) -> Floats:
    with np.errstate(invalid="ignore"):
        return part / whole


def roc_auc(is_class: Booleans, scores: Floats) -> float:
    """Return the area under the ROC curve; nan unless there are images of the class and others.

    It is the probability that an image of the class has a higher score than another image; equal
    scores count half.

    Args:
        is_class: Whether each image is of the class, [N].
        scores: The class's probability for each image, [N].
    """
    others = np.sort(scores[~is_class])
    own = scores[is_class]
    if not len(own) or not len(others):
        return float("nan")
    below = np.searchsorted(others, own, side="left") + np.searchsorted(others, own, side="right")
    return float(below.mean() / 2 / len(others))


def in_top(labels: Integers, scores: NDArray[np.floating], k: int) -> Booleans:
    """Return whether each image's class is among its `k` highest scores, [N].

    Of equal scores, those of later classes rank higher, as in scikit-learn.

    Args:
        labels: The true classes, [N].
        scores: Logits or probabilities, [N, classes].
        k: The number of scores.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    later = np.arange(scores.shape[1]) > labels[:, None]
    above = (scores > own) | ((scores == own) & later)
    return above.sum(axis=1) < k


# --- probabilities ------------------------------------------------------------------------------


def log_sum_exp(logits: Floats) -> Floats:
    """Return the logarithm of the sum of the exponentials of each row, [N]."""
    largest = logits.max(axis=1)
    total: Floats = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    return total


def log_softmax(logits: Floats) -> Floats:
    """Return the logarithms of the probabilities, [N, classes]."""
    shifted: Floats = logits - logits.max(axis=1, keepdims=True)
    return shifted - log_sum_exp(shifted)[:, None]


def nll(labels: Integers, logits: Floats) -> Floats:
    """Return the negative log-likelihood (cross-entropy) of each image's class, [N]."""
    return -np.take_along_axis(log_softmax(logits), labels[:, None], axis=1)[:, 0]


def brier(labels: Integers, probabilities: Floats) -> Floats:
    """Return the Brier score of each image: the squared error, summed over the classes; 0 to 2."""
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    score: Floats = np.maximum(
        0.0, (probabilities**2).sum(axis=1) - 2 * own + 1
    )  # may round below 0
    return score


@dataclass(frozen=True)
class ReliabilityBins:
    """Images by the probability of their predicted class, in equal-width bins; each is [bins].

    A bin includes its upper edge.
    """

    images: Integers
    confidence: Floats
    """The mean probability of the predicted class; 0 in an empty bin."""
    accuracy: Floats
    """The share of correct predictions; 0 in an empty bin."""

    @property
    def error(self) -> float:
        """The expected calibration error (ECE).

        This is the mean distance between confidence and accuracy, weighted by images.
        """
        distance = np.abs(self.confidence - self.accuracy)
        return float((self.images * distance).sum() / self.images.sum())


def reliability_bins(confidence: Floats, correct: Booleans, bins: int = BINS) -> ReliabilityBins:
    """Return the reliability of predictions.

    Args:
        confidence: The probability of each image's predicted class, [N]; at least one.
        correct: Whether each prediction is correct, [N].
        bins: The number of equal-width bins from 0 to 1.
    """
    number = bin_numbers(confidence, bins)
    images = np.bincount(number, minlength=bins)
    filled = np.maximum(images, 1)
    return ReliabilityBins(
        images=images,
        confidence=np.bincount(number, confidence, minlength=bins) / filled,
        accuracy=np.bincount(number, correct, minlength=bins) / filled,
    )


def bin_numbers(confidence: Floats, bins: int = BINS) -> Integers:
    """Return the bin of each probability, [N]; an edge belongs to the bin below it."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left")


@dataclass(frozen=True)
class CalibratedError:
    """The ECE that a perfectly calibrated model would show on as many images."""

    mean: float
    high: float
    """The ECE that it would exceed in 5 % of such evaluations."""


def calibrated_error(
    confidence: Floats, bins: int = BINS, seed: int = 0
) -> Generator[None, None, CalibratedError]:
    """Simulate the ECE of a perfectly calibrated model with the same confidences.

    With few images, the accuracy in a bin differs from the confidence by chance, so that the ECE
    of a calibrated model is not 0. Each simulation draws whether an image is correct, with its
    confidence as the probability (Vaicenavicius et al. call this consistency resampling).

    Args:
        confidence: The probability of each image's predicted class, [N]; at least one.
        bins: The number of equal-width bins from 0 to 1.
        seed: The seed of the simulation.
    """
    generator = np.random.default_rng(seed)
    simulations = max(FEWEST_SIMULATIONS, min(SIMULATIONS, DRAWS // len(confidence)))
    order = np.argsort(bin_numbers(confidence, bins), kind="stable")
    sorted_confidence = confidence[order]
    filled, first = np.unique(bin_numbers(sorted_confidence, bins), return_index=True)
    expected = np.add.reduceat(sorted_confidence, first)
    at_once = max(1, DRAWS_PER_UNIT // len(confidence))
    errors: list[Floats] = []
    for start in range(0, simulations, at_once):
        shape = (min(at_once, simulations - start), len(confidence))
        correct = generator.random(shape) < sorted_confidence
        found = np.add.reduceat(correct, first, axis=1, dtype=np.int64)
        errors.append(np.abs(found - expected).sum(axis=1) / len(confidence))
        yield
    simulated = np.concatenate(errors)
    return CalibratedError(float(simulated.mean()), float(np.quantile(simulated, 0.95)))


# --- temperature scaling ------------------------------------------------------------------------


def fit_temperature(
    labels: Integers, logits: Floats, guess: float = 1.0
) -> Generator[None, None, float | None]:
    """Return the temperature by which to divide the logits for the lowest mean NLL.

    The NLL is convex in the inverse temperature; Newton's method finds the minimum, safeguarded by
    bisection.

    Args:
        labels: The true classes, [N].
        logits: The outputs, [N, classes].
        guess: A temperature to begin with.

    Returns:
        The temperature; None if none between `COLDEST` and `HOTTEST` is best, as when every image
        is classified correctly: then, the more certain the better.
    """
    low, high = 1 / HOTTEST, 1 / COLDEST
    if (yield from _slope(labels, logits, low))[0] >= 0:
        return None
    if (yield from _slope(labels, logits, high))[0] <= 0:
        return None
    inverse = 1 / guess
    for _ in range(100):
        slope, curvature = yield from _slope(labels, logits, inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        newer = inverse - slope / curvature if curvature > 0 else low
        if not low < newer < high:
            newer = (low * high) ** 0.5
        if abs(newer - inverse) <= 1e-8 * inverse:
            break
        inverse = newer
    return 1 / inverse


def _slope(
    labels: Integers, logits: Floats, inverse: float
) -> Generator[None, None, tuple[float, float]]:
    """Return the first and second derivative of the mean NLL by the inverse temperature."""
    slope = curvature = 0.0
    rows = max(1, VALUES_PER_UNIT // logits.shape[1])
    for first in range(0, len(labels), rows):
        part = logits[first : first + rows].astype(np.float64)
        part -= part.max(axis=1, keepdims=True)
        weights = np.exp(inverse * part)
        weights /= weights.sum(axis=1, keepdims=True)
        mean = (weights * part).sum(axis=1)
        own = np.take_along_axis(part, labels[first : first + rows, None], axis=1)[:, 0]
        slope += float((mean - own).sum())
        curvature += float((weights * (part - mean[:, None]) ** 2).sum())
        yield
    return slope / len(labels), curvature / len(labels)


@dataclass(frozen=True)
class FittedTemperature:
    """A temperature, and what temperature scaling is worth on images that it was not fitted on."""

    value: float
    """Fitted on all images."""
    nll_before: float
    """The mean over all images, unscaled."""
    nll_after: float
    """The mean over all images, each scaled by the temperature that was fitted on the other
    folds."""
    ece_before: float
    ece_after: float


def cross_fit_temperature(
    labels: Integers, logits: Floats, folds: int = FOLDS, seed: int = 0
) -> Generator[None, None, FittedTemperature | None]:
    """Fit a temperature on all images, and evaluate the method on held-out folds.

    The folds have equal shares of the images whose class does not have the highest logit, because
    without such an image no temperature is best.

    Args:
        labels: The true classes, [N].
        logits: The outputs, [N, classes].
        folds: The number of folds at most.
        seed: The seed of the folds.

    Returns:
        The result; None if no temperature is best for all images or for the others of a fold.
    """
    value = yield from fit_temperature(labels, logits)
    if value is None:
        return None
    part = _fold_numbers(labels, logits, folds, seed)
    temperatures = np.ones(len(labels))
    for fold in range(folds):
        held_out = part == fold
        if not held_out.any():
            continue
        fitted = yield from fit_temperature(labels[~held_out], logits[~held_out], value)
        if fitted is None:
            return None
        temperatures[held_out] = fitted
    before = yield from _nll_and_ece(labels, logits, np.ones(len(labels)))
    after = yield from _nll_and_ece(labels, logits, temperatures)
    return FittedTemperature(value, before[0], after[0], before[1], after[1])


def _fold_numbers(labels: Integers, logits: Floats, folds: int, seed: int) -> Integers:
    """Return the fold of each image, [N]: shuffled, and dealt out after a sort by correctness."""
    own = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    wrong_first = shuffled[np.argsort((own >= logits.max(axis=1))[shuffled], kind="stable")]
    part = np.empty(len(labels), dtype=np.int64)
    part[wrong_first] = np.arange(len(labels)) % folds
    return part


def _nll_and_ece(
    labels: Integers, logits: Floats, temperatures: Floats
) -> Generator[None, None, tuple[float, float]]:
    """Return the mean NLL and the ECE of logits divided by a temperature for each image."""
    losses, confidence = np.empty(len(labels)), np.empty(len(labels))
    correct = np.empty(len(labels), dtype=np.bool_)
    rows = max(1, VALUES_PER_UNIT // logits.shape[1])
    for first in range(0, len(labels), rows):
        part = slice(first, first + rows)
        scaled = log_softmax(logits[part].astype(np.float64) / temperatures[part, None])
        losses[part] = -np.take_along_axis(scaled, labels[part, None], axis=1)[:, 0]
        confidence[part] = np.exp(scaled.max(axis=1))
        correct[part] = scaled.argmax(axis=1) == labels[part]
        yield
    return float(losses.mean()), reliability_bins(confidence, correct).error
