"""The learning rates that a key steps through: 1, 2 and 5 of each power of ten."""

from __future__ import annotations

import math

LEAST_RATE, MOST_RATE = 1e-8, 10.0
"""The ends of the series."""


def next_rate(rate: float, steps: int, from_zero: float) -> float:
    """A rate so many steps up or down the series 1, 2, 5 of each power of ten.

    Args:
        rate: Where to begin, 0 or more.
        steps: How many steps; negative is down.
        from_zero: What the first step up from 0 gives.
    """
    if not rate:
        return from_zero if steps > 0 else 0.0
    for _ in range(abs(steps)):
        series = [
            float(f"{digit}e{power}")
            for power in (math.floor(math.log10(rate)) + shift for shift in (-1, 0, 1))
            for digit in (1, 2, 5)
        ]
        near = 1e-6 * rate
        if steps > 0:
            rate = next(one for one in series if one > rate + near)
        else:
            rate = next(one for one in reversed(series) if one < rate - near)
    return min(MOST_RATE, max(LEAST_RATE, rate))
