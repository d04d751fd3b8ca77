"""What a listing finds: samples, classes, and names that any encoder takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tl_tui.common.errors import Problem


class DataProblem(Problem):
    """The folder cannot be trained on; the text says why and what to do."""


class Sample(NamedTuple):
    path: str
    """As the file system has it; a name that is not UTF-8 has surrogates in it (PEP 383)."""
    label: int


@dataclass(frozen=True)
class ImageFolder:
    """What was found: classes in alphabetical order; samples by class, then by path."""

    name: str
    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]


def printable(path: str) -> str:
    """A path or name that any encoder takes: bytes that are not UTF-8 as `\\xff`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
