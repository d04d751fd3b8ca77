"""A curve of any length in about a thousand buckets, kept up to date point by point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_BUCKETS = 1024
"""More than any screen has columns of dots; past that neighbours are put together."""


@dataclass
class Bucket:
    """Neighbouring points: their steps, and the sum of their finite values."""

    first: int
    last: int
    total: float
    finite: int
    """How many of them are finite; 0 makes a gap."""

    @property
    def step(self) -> float:
        return (self.first + self.last) / 2

    @property
    def mean(self) -> float:
        """The mean of the finite values; nan if there are none."""
        return self.total / self.finite if self.finite else math.nan


class Decimation:
    """Takes the points that are new since the last time; each is looked at once."""

    def __init__(self) -> None:
        self.buckets: list[Bucket] = []
        self.seen = 0
        self._size = 1
        self._in_last = 0

    def take(self, points: Sequence[tuple[int, float]]) -> None:
        """Take what is new in a list that only grows at its end.

        Args:
            points: (step, value), in order.
        """
        for step, value in points[self.seen :]:
            self._add(step, value)
        self.seen = len(points)

    def _add(self, step: int, value: float) -> None:
        finite = math.isfinite(value)
        if self.buckets and self._in_last < self._size:
            bucket = self.buckets[-1]
            bucket.last = step
            bucket.total += value if finite else 0.0
            bucket.finite += finite
            self._in_last += 1
            return
        self.buckets.append(Bucket(step, step, value if finite else 0.0, int(finite)))
        self._in_last = 1
        if len(self.buckets) > MOST_BUCKETS:
            pairs = zip(self.buckets[0:-1:2], self.buckets[1:-1:2], strict=True)
            last = self.buckets[-1]
            self.buckets = [
                Bucket(a.first, b.last, a.total + b.total, a.finite + b.finite) for a, b in pairs
            ]
            self.buckets.append(last)
            self._size *= 2
