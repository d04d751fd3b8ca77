"""Rows of the table, their readings, and the statistics of a measurement."""

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
    """The peer or the floor to compare with."""
    value: float | None = None
    """The median; None if it was not measured."""
    low: float | None = None
    """The lower quartile."""
    high: float | None = None
    """The upper quartile."""
    unit: str = "×"
    count: int = 0
    """The number of measurements."""
    reach: float | None = None
    """The goal: the largest acceptable median; None if there is no goal."""
    ours: float | None = None
    """The median of our costs."""
    theirs: float | None = None
    """The median of the peer's costs."""
    of: str = ""
    """The unit of `ours` and `theirs`."""
    note: str = ""
    """A sentence: why it was not measured, or a remark on the figure."""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is met; None if there is no goal or no measurement."""
        if self.value is None or self.reach is None:
            return None
        return self.value <= self.reach

    def described(self) -> dict[str, Any]:
        """Return the fields for the JSON file."""
        return {**asdict(self), "measured": self.value is not None, "reached": self.reached}


@dataclass(frozen=True)
class Bench:
    """The settings of a measurement."""

    quick: bool
    """Whether to only check that the rows run, with a few measurements of the first case."""
    peers: Path | None
    """The folder for the peers' environments; None omits the peers."""
    scratch: Path
    """An empty folder that is removed afterwards."""
    device: str | None
    """The CUDA device; None if torch cannot use one."""

    def count(self, many: int, few: int = 2) -> int:
        """Return the number of measurements to take."""
        return few if self.quick else many

    def cases(self, every: Sequence[T]) -> Sequence[T]:
        """Return the cases to measure: all, or only the first with `quick`."""
        return every[:1] if self.quick else every

    def fresh(self, name: str) -> Path:
        """Create a new folder in the scratch folder, even if the name was used before."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))

    def folder(self, name: str) -> Path:
        """Return a folder in the scratch folder, creating it if necessary."""
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
        """Measure the row. Without the GPU it needs, yield one reading that says so."""
        if self.needs_gpu and bench.device is None:
            yield Reading(self.what, self.against, note="not measured: no CUDA device here")
            return
        yield from self.measure(bench)


def interleaved(
    ours: Callable[[], float], theirs: Callable[[], float], count: int, *, warm: int = 1
) -> list[tuple[float, float]]:
    """Measure two costs alternately, so that a drift of the machine's speed affects both.

    Args:
        ours: Does our work once and returns its cost.
        theirs: Does the peer's work once and returns its cost.
        count: The number of pairs to return.
        warm: The number of warm-up pairs to discard first.

    Returns:
        The pairs (ours, theirs).
    """
    pairs = []
    for number in range(warm + count):
        if number % 2:  # the order alternates too
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
    """Return a reading of ours / theirs: the median over the pairs, with its quartiles."""
    low, middle, high = quartiles([own / other for own, other in pairs])
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
    """Return the lower quartile, the median and the upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, statistics.median(values), high


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
