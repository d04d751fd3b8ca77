"""What a count of right answers is worth. Imports no torch: screens and scripts use it too."""

from __future__ import annotations

import math
from collections.abc import Sequence

SEEN = 0.05
"""A difference with a smaller p than this is called seen."""


def interval(correct: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share, as (lower, upper), 0 to 1.

    Wilson's score interval (JASA 22, 1927), which stays within 0 and 1 and holds for small counts:
    71 of 80 is .80 to .94.
    """
    if not total:
        return 0.0, 1.0
    share = correct / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    half /= 1 + z * z / total
    return centre - half if correct else 0.0, centre + half if correct < total else 1.0


def mcnemar(only_one: int, only_other: int) -> float:
    """The p of McNemar's exact two-sided test (Psychometrika 12, 1947).

    Args:
        only_one: Images that only the one result has right.
        only_other: Images that only the other has right.

    Returns:
        How often chance alone parts two equally good results this far or further.
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


def balanced_accuracy(per_class: Sequence[tuple[int, int]]) -> float:
    """The mean of the accuracies of the classes that have images; (correct, total) of each."""
    shares = [correct / total for correct, total in per_class if total]
    return sum(shares) / len(shares) if shares else 0.0


def share_words(value: float) -> str:
    """Such as `.89`; `1.00` for all."""
    return f"{value:.2f}".removeprefix("0") if value < 0.995 else "1.00"


def accuracy_words(correct: int, total: int) -> str:
    """Such as `71 of 80, .89 (.80 to .94)`."""
    if not total:
        return "0 of 0"
    low, high = interval(correct, total)
    share = share_words(correct / total)
    return f"{correct} of {total}, {share} ({share_words(low)} to {share_words(high)})"


def comparison_words(only_one: int, only_other: int) -> str:
    """Such as `no difference seen (5 against 3, p 0.73)` or `better (12 against 2, p 0.013)`."""
    p = mcnemar(only_one, only_other)
    against = f"{only_one} against {only_other}, p {p:.2g}"
    if p >= SEEN:
        return f"no difference seen ({against})"
    return f"{'better' if only_one > only_other else 'worse'} ({against})"
