"""Statistics of counts of correct predictions: confidence intervals and comparisons."""

from __future__ import annotations

import math
from collections.abc import Sequence

SIGNIFICANCE_LEVEL = 0.05
"""A difference with a smaller p-value counts as a difference."""
DIVERGED = 1000.0
"""The multiple of the loss of guessing above which training has diverged."""


def interval(correct: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the confidence interval of a share as (lower, upper), 0 to 1.

    Wilson's score interval stays within 0 and 1 and is valid for small counts: for 71 of 80 it is
    .80 to .94.

    Args:
        correct: The number of correct predictions.
        total: The number of predictions.
        z: The quantile of the normal distribution; the default gives 95 %.

    Reference:
        Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927.
    """
    if not total:
        return 0.0, 1.0
    share = correct / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    half /= 1 + z * z / total
    return centre - half if correct else 0.0, centre + half if correct < total else 1.0


def mcnemar(only_one: int, only_other: int) -> float:
    """Return the p-value of McNemar's exact two-sided test of two results on the same images.

    Args:
        only_one: The number of images that are correct only in the first result.
        only_other: The number of images that are correct only in the second.

    Reference:
        McNemar, Note on the sampling error of the difference between correlated proportions or
        percentages, Psychometrika 12, 1947.
    """
    discordant = only_one + only_other
    if not discordant:
        return 1.0
    fewer = min(only_one, only_other)
    if discordant > 1000:  # the normal approximation, with continuity correction
        distance = max(0.0, abs(only_one - only_other) - 1) / math.sqrt(discordant)
        return math.erfc(distance / math.sqrt(2))
    tail = sum(math.comb(discordant, count) for count in range(fewer + 1)) / 2**discordant
    return min(1.0, 2 * tail)


def guessing_loss(classes: int) -> float:
    """Return the cross-entropy of the same probability for every class."""
    return math.log(max(2, classes))


def diverged(loss: float, classes: int) -> bool:
    """Return whether a cross-entropy shows that training has diverged.

    Confident predictions that are all wrong have a mean loss of some ten times that of guessing;
    so do the first steps from random weights.

    Args:
        loss: The mean loss of a batch, or of the validation images.
        classes: The number of classes.
    """
    return not loss <= DIVERGED * guessing_loss(classes)


def balanced_accuracy(per_class: Sequence[tuple[int, int]]) -> float:
    """Return the mean accuracy over the classes that have images.

    Args:
        per_class: (correct, total) of each class.
    """
    shares = [correct / total for correct, total in per_class if total]
    return sum(shares) / len(shares) if shares else 0.0


def share_words(value: float) -> str:
    """Return a share such as `.89`, or `1.00`."""
    return f"{value:.2f}".removeprefix("0") if value < 0.995 else "1.00"


def accuracy_words(correct: int, total: int) -> str:
    """Return an accuracy with its interval, such as `71 of 80, .89 (.80 to .94)`."""
    if not total:
        return "0 of 0"
    low, high = interval(correct, total)
    share = share_words(correct / total)
    return f"{correct} of {total}, {share} ({share_words(low)} to {share_words(high)})"


def comparison_words(only_one: int, only_other: int) -> str:
    """Return a comparison such as `no difference seen (5 against 3, p 0.73)` or
    `better (12 against 2, p 0.013)`."""
    p = mcnemar(only_one, only_other)
    against = f"{only_one} against {only_other}, p {p:.2g}"
    if p >= SIGNIFICANCE_LEVEL:
        return f"no difference seen ({against})"
    return f"{'better' if only_one > only_other else 'worse'} ({against})"
