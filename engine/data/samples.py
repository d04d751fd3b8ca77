"""The samples and classes of a dataset, and printable forms of file names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tl_tui.common.errors import Problem
from tl_tui.protocol.dataset import LeftOut

A_FIFTH = "a fifth of each class"
"""Where the validation images come from if the dataset does not say which they are."""


class DataProblem(Problem):
    """The dataset cannot be used. The message says why and what to do."""


class Sample(NamedTuple):
    """One labelled image."""

    path: str
    """The path in the file system; bytes that are not UTF-8 are surrogates (PEP 383)."""
    label: int
    """Index of the class."""


@dataclass(frozen=True)
class ImageFolder:
    """A dataset, split into training and validation samples, each sorted by class and path."""

    name: str
    classes: tuple[str, ...]
    """The names of the classes, in alphabetical order."""
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    validation: str = ""
    """Where the validation images come from, such as `Val/` or `a fifth of each class`."""
    left_out: tuple[LeftOut, ...] = ()
    """What the folder or the labels file holds besides, by kind."""
    findings: tuple[str, ...] = ()
    """Sentences about what is probably wrong with the dataset."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Why an image is known to be unreadable, by path. Such images stay in `train` and `val`, so
    that the split and the order of the others do not depend on them."""

    def readable(self, samples: Iterable[Sample]) -> tuple[Sample, ...]:
        """Return the samples that are not known to be unreadable."""
        return tuple(sample for sample in samples if sample.path not in self.unreadable)


def printable(path: str) -> str:
    """Return a path that can be encoded: bytes that are not UTF-8 are escaped, as `\\xff`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
