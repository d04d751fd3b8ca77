"""Events: what validation came to, and pictures."""

from __future__ import annotations

from typing import Literal

import msgspec


class WrongImage(msgspec.Struct, frozen=True, array_like=True):
    path: str
    label: int
    predicted: int
    probability: float
    """Of the predicted class, 0 to 1: how sure the model was."""
    label_probability: float
    """Of the right class."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """This result beside an earlier one on the same images, image by image (McNemar)."""

    other: str
    """Such as `start 1, step 40`."""
    other_correct: int
    other_total: int
    only_this: int
    """Images that only this one gets right."""
    only_other: int
    p: float
    """Exact two-sided McNemar test."""


class ResultsShown(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The last evaluation of the whole validation set, in full."""

    start: int
    step: int
    epoch: int
    correct: int
    total: int
    loss: float
    per_class: tuple[tuple[int, int], ...]
    """(correct, total) of each class."""
    confusion: tuple[tuple[int, int, int], ...]
    """(class, predicted class, images) where there are any."""
    most_wrong: tuple[WrongImage, ...]
    """Surest first, at most 100."""
    comparisons: tuple[Comparison, ...]
    stale: bool
    """Steps were taken since."""


class Thumbnail(msgspec.Struct, frozen=True, array_like=True):
    path: str
    label: int
    predicted: int | None
    """What the model says now; None if it was not asked."""
    probability: float | None
    """Of the predicted class."""
    width: int
    height: int
    pixels: bytes
    """RGB, 8 bits, row by row, top first."""


class ImagesShown(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    what: Literal["batch", "wrong"]
    step: int
    images: tuple[Thumbnail, ...]
    total: int
    """Images in the batch, or wrong ones in all."""
