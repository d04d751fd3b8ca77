"""What a dataset is trained on: images per class, the source of validation, what is left out."""

from __future__ import annotations

import msgspec


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """Files, folders, rows or columns of one kind that are not used."""

    kind: str
    """What they are, as a noun that follows the count, such as `.heic` or `system folders`."""
    count: int
    example: str = ""
    """The path or the name of one of them."""
    reason: str = ""
    """Why they are not used, in a few words; empty if the kind says it."""


class DatasetSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a session trains on and validates with."""

    train_counts: tuple[int, ...] = ()
    """The number of training images of each class."""
    val_counts: tuple[int, ...] = ()
    """The number of validation images of each class."""
    validation: str = ""
    """Where the validation images come from, such as `Val/` or `a fifth of each class`."""
    left_out: tuple[LeftOut, ...] = ()
    findings: tuple[str, ...] = ()
    """Sentences about what is probably wrong, such as validation images that are also training
    images."""


class ValuesClipped(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Images with more than 8 bits per pixel have values beyond the range they are scaled by, or
    there is no range for them.

    Sent after a validation, if there are more such images than before, and at the end of a job.
    """

    images: int
    """The number of images with such values."""
    of_images: int
    """The number of images with more than 8 bits per pixel that were read."""
    values: int
    """The number of such values."""
    of_values: int
    """The number of all values of these images."""
    low: float
    """The value that becomes black, and those below it."""
    high: float
    """The value that becomes white, and those above it."""
    example: str
    """The path of the image with the largest share of such values."""
    lowest: float
    """The lowest value of that image."""
    highest: float
    """The highest value of that image."""
    without_range: int = 0
    """The number of images with more than 8 bits per pixel for which the run has no range."""
    example_without_range: str = ""
    """The path of one of these."""
    not_finite: int = 0
    """The number of images with values that are NaN or infinite."""
    example_not_finite: str = ""
    """The path of one of them."""
