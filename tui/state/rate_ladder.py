"""The learning rates that a key steps through: 1, 2 and 5 of each power of ten."""

from __future__ import annotations

import math

LEAST_RATE, MOST_RATE = 1e-8, 10.0
"""The smallest and the largest rate of the series."""


def next_rate(rate: float, steps: int, from_zero: float) -> float:
    """Return the rate that is `steps` further in the series 1, 2, 5 of each power of ten.

    Args:
        rate: The current rate, 0 or more.
        steps: How many steps to go up; negative values go down.
        from_zero: The result of a step up from 0.
    """
    if not rate:
        return from_zero if steps > 0 else 0.0
    for _ in range(abs(steps)):
        series = [
            float(f"{digit}e{power}")
            for power in (math.floor(math.log10(rate)) + shift for shift in (-1, 0, 1))
            for digit in (1, 2, 5)
        ]
        tolerance = 1e-6 * rate
        if steps > 0:
            rate = next(value for value in series if value > rate + tolerance)
        else:
            rate = next(value for value in reversed(series) if value < rate - tolerance)
    return min(MOST_RATE, max(LEAST_RATE, rate))
