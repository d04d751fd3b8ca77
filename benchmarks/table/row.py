"""What a row of the table is, and what a measurement of it tells."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """One line of the table: a case of a row, measured or not."""

    case: str
    against: str
    """The peer or the floor."""
    value: float | None = None
    """The median; None if it was not measured."""
    low: float | None = None
    """Lower quartile."""
    high: float | None = None
    """Upper quartile."""
    unit: str = "×"
    count: int = 0
    """How many measurements the median is of."""
    reach: float | None = None
    """What the median has to stay at or below; None is a figure to compare with."""
    ours: float | None = None
    theirs: float | None = None
    of: str = ""
    """Unit of `ours` and `theirs`, which are medians of their own."""
    note: str = ""
    """In a sentence: why it was not measured, or what has to be known about it."""

    @property
    def reached(self) -> bool | None:
        """Whether the figure is reached; None where there is none or nothing was measured."""
        if self.value is None or self.reach is None:
            return None
        return self.value <= self.reach

    def described(self) -> dict[str, Any]:
        """What the JSON file says of it."""
        return {**asdict(self), "measured": self.value is not None, "reached": self.reached}


@dataclass(frozen=True)
class Bench:
    """What a row is measured with."""

    quick: bool
    """Only see that it runs: a few measurements of the smallest case."""
    peers: Path | None
    """Where environments of peers are kept; None leaves the peers out."""
    scratch: Path
    """An empty folder that is taken away afterwards."""
    device: str | None
    """The CUDA device, or None where torch can use none."""

    def count(self, many: int, few: int = 2) -> int:
        """How many measurements to take."""
        return few if self.quick else many

    def cases(self, every: Sequence[T]) -> Sequence[T]:
        """The cases to measure: all, or only the first."""
        return every[:1] if self.quick else every

    def fresh(self, name: str) -> Path:
        """A new folder in the scratch folder, of its own even where a name comes again."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))

    def folder(self, name: str) -> Path:
        """A folder in the scratch folder; made if it is not there."""
        path = self.scratch / name
        path.mkdir(parents=True, exist_ok=True)
        return path


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    name: str
    what: str
    against: str
    measure: Callable[[Bench], Iterable[Reading]]
    needs_gpu: bool = False

    def readings(self, bench: Bench) -> Iterator[Reading]:
        """Its readings; one that says so where it needs a device that is not there."""
        if self.needs_gpu and bench.device is None:
            yield Reading(self.what, self.against, note="not measured: no CUDA device here")
            return
        yield from self.measure(bench)


def interleaved(
    ours: Callable[[], float], theirs: Callable[[], float], count: int, *, warm: int = 1
) -> list[tuple[float, float]]:
    """Two costs measured in turn, so that a machine that drifts favours neither.

    Args:
        ours: Does it once and returns what it cost.
        theirs: The same of what it is measured against.
        count: Pairs that count.
        warm: Pairs before, which do not.
    """
    pairs = []
    for number in range(warm + count):
        if number % 2:  # who goes first changes too
            second, first = theirs(), ours()
        else:
            first, second = ours(), theirs()
        if number >= warm:
            pairs.append((first, second))
    return pairs


def ratio(
    pairs: Sequence[tuple[float, float]],
    case: str,
    against: str,
    *,
    reach: float | None = None,
    of: str = "s",
    note: str = "",
) -> Reading:
    """The median over pairs of ours / theirs, with its quartiles."""
    low, middle, high = quartiles([one / other for one, other in pairs])
    ours, theirs = zip(*pairs, strict=True)
    return Reading(
        case=case,
        against=against,
        value=middle,
        low=low,
        high=high,
        count=len(pairs),
        reach=reach,
        ours=statistics.median(ours),
        theirs=statistics.median(theirs),
        of=of,
        note=note,
    )


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile; of one value, that value."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, statistics.median(values), high


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
