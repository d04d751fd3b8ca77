"""Reducing a curve of any length to about a thousand points, incrementally."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_BUCKETS = 1024
"""More than any screen has columns of dots. Above it, neighbouring buckets are merged."""


@dataclass
class Bucket:
    """Neighbouring points of a curve."""

    first: int
    """The step of the first point."""
    last: int
    """The step of the last point."""
    total: float
    """The sum of the finite values."""
    finite: int
    """The number of finite values; 0 makes a gap in the curve."""

    @property
    def step(self) -> float:
        """The step in the middle."""
        return (self.first + self.last) / 2

    @property
    def mean(self) -> float:
        """The mean of the finite values; nan if there are none."""
        return self.total / self.finite if self.finite else math.nan


class Decimation:
    """The buckets of one curve. Each point is read once."""

    def __init__(self) -> None:
        self.buckets: list[Bucket] = []
        self.seen = 0
        """The number of points that were read."""
        self._size = 1
        self._in_last = 0

    def take(self, points: Sequence[tuple[int, float]]) -> None:
        """Read the points that were added since the last call.

        Args:
            points: All points as (step, value), in order; points are only ever appended.
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
