"""The ranges by which images with more than 8 bits per pixel are scaled, and values beyond them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.samples import printable
from tl_tui.protocol.dataset import ValuesClipped

Ranges = dict[str, tuple[float, float]]
"""The values that become 0 and 255, by kind of image: `integer`, `float` or `colour` (see
`rgb_conversion.deep_values`)."""
NO_RANGES: Ranges = {}


def ranges_of(transform: dict[str, Any]) -> Ranges:
    """Return the ranges in the description of a transform; empty if the run has none.

    Version 0.1.0 recorded none, and scaled every image without regard to the others.
    """
    return {kind: (low, high) for kind, (low, high) in (transform.get("ranges") or {}).items()}


@dataclass(frozen=True)
class _Clipped:
    """How many values of an image are beyond the range."""

    values: int
    size: int
    """The number of all values of the image."""
    lowest: float
    highest: float
    limits: tuple[float, float]


class ClippedValues:
    """Counts, once per image, the values that are beyond the range they are scaled by."""

    def __init__(self) -> None:
        self._images: dict[str, _Clipped] = {}
        self._without_range: set[str] = set()
        self._not_finite: set[str] = set()
        self._lock = threading.Lock()
        self._reported = (0, 0, 0)

    def add(self, path: str, values: np.ndarray, limits: tuple[float, float]) -> None:
        """Count the values of an image that are beyond its limits.

        Args:
            path: The image.
            values: Its values; see `image_kinds.measured_values`.
            limits: The range that it is scaled by.
        """
        if path in self._images:
            return
        self._note_not_finite(path, values)
        beyond = int(np.count_nonzero((values < limits[0]) | (values > limits[1])))
        lowest, highest = limits
        if beyond:
            lowest, highest = float(np.nanmin(values)), float(np.nanmax(values))
        with self._lock:
            self._images[path] = _Clipped(beyond, values.size, lowest, highest, limits)

    def add_without_range(self, path: str, values: np.ndarray) -> None:
        """Count an image with more than 8 bits per pixel for which there is no range."""
        if path in self._without_range:
            return
        self._note_not_finite(path, values)
        with self._lock:
            self._without_range.add(path)

    def _note_not_finite(self, path: str, values: np.ndarray) -> None:
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            with self._lock:
                self._not_finite.add(path)

    def report(self) -> ValuesClipped | None:
        """Return what was counted so far; None if it is the same as in the last report."""
        with self._lock:
            images, without_range = dict(self._images), sorted(self._without_range)
            not_finite = sorted(self._not_finite)
        clipped = {path: image for path, image in images.items() if image.values}
        if (len(clipped), len(without_range), len(not_finite)) == self._reported:
            return None
        self._reported = len(clipped), len(without_range), len(not_finite)
        path, worst = max(
            clipped.items(),
            key=lambda item: item[1].values / item[1].size,
            default=("", _Clipped(0, 1, 0.0, 0.0, (0.0, 0.0))),
        )
        return ValuesClipped(
            images=len(clipped),
            of_images=len(images),
            values=sum(image.values for image in images.values()),
            of_values=sum(image.size for image in images.values()),
            low=float(worst.limits[0]),
            high=float(worst.limits[1]),
            example=printable(path),
            lowest=worst.lowest,
            highest=worst.highest,
            without_range=len(without_range),
            example_without_range=printable(without_range[0]) if without_range else "",
            not_finite=len(not_finite),
            example_not_finite=printable(not_finite[0]) if not_finite else "",
        )
