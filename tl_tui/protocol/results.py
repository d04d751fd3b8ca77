"""Events with the results of an evaluation, and with pictures of images."""

from __future__ import annotations

from typing import Literal

import msgspec

from tl_tui.protocol.measures import Measures

ImageSelection = Literal["batch", "wrong"]
"""batch: the next batch as the model will receive it. wrong: the validation images that the model
classified wrongly with the highest confidence."""


class WrongImage(msgspec.Struct, frozen=True, array_like=True):
    """A validation image that was classified wrongly."""

    path: str
    label: int
    predicted: int
    probability: float
    """Probability of the predicted class, 0 to 1."""
    label_probability: float
    """Probability of the correct class, 0 to 1."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison of this result with an earlier one on the same images."""

    other: str
    """The earlier result, such as `start 1, step 40`."""
    other_correct: int
    other_total: int
    only_this: int
    """The number of images that are correct only in this result."""
    only_other: int
    """The number of images that are correct only in the earlier result."""
    p: float
    """p-value of the exact two-sided McNemar test."""


class ResultsShown(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The full result of the last evaluation of all validation images."""

    start: int
    step: int
    epoch: int
    correct: int
    total: int
    loss: float
    """Mean cross-entropy."""
    per_class: tuple[tuple[int, int], ...]
    """(correct, total) of each class."""
    confusion: tuple[tuple[int, int, int], ...]
    """(class, predicted class, number of images); pairs without images are left out."""
    most_wrong: tuple[WrongImage, ...]
    """At most 100 wrongly classified images, most confident first."""
    comparisons: tuple[Comparison, ...]
    stale: bool
    """Whether steps were taken since this evaluation."""
    measures: Measures | None = None
    """None if an output is not finite."""


class Thumbnail(msgspec.Struct, frozen=True, array_like=True):
    """A small picture of an image, with its label and prediction."""

    path: str
    label: int
    predicted: int | None
    """The class that the model predicts now; None if the image was not evaluated."""
    probability: float | None
    """Probability of the predicted class, 0 to 1."""
    width: int
    height: int
    pixels: bytes
    """8-bit RGB, [height, width, 3]."""


class ImagesShown(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Pictures of the next batch or of the most wrong validation images."""

    selection: ImageSelection
    start: int = 0
    step: int
    """The last step before the predictions."""
    images: tuple[Thumbnail, ...]
    total: int
    """The number of images in the batch, or of all wrongly classified images."""
