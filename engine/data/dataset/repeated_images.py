"""Find validation images that are also training images: the same file, or a copy of it."""

from __future__ import annotations

import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Generator, Sequence

from engine.data.samples import Sample, printable

SECONDS = 3.0
"""The longest time for comparing images, in seconds."""
FILES_PER_YIELD = 500
"""The number of files to look at between two yields."""
FIRST_COMPARED = 200
"""The number of validation images that are first compared with training images of their name, which
finds a copied or linked folder however many images there are."""
PROBE_BYTES = 4096
"""The number of bytes in the middle of two files that are compared first."""


class RepeatedImages:
    """The result of a comparison."""

    def __init__(self, validation: int) -> None:
        self.validation = validation
        """The number of validation images."""
        self.compared = 0
        """The number of validation images that were compared with all training images."""
        self.repeated = 0
        """The number of those that are also training images."""
        self.paths: set[str] = set()
        """Their paths."""
        self.example = ("", "")
        """A validation image and the training image that it repeats."""

    def add(self, path: str, same: str) -> None:
        """Count a validation image; `same` is the training image that it repeats, or empty."""
        self.compared += 1
        if same:
            self.repeated += 1
            self.paths.add(path)
            self.example = self.example if self.example[0] else (path, same)

    def sentences(self, root: str) -> tuple[str, ...]:
        """Return a warning if validation images are also training images; else nothing.

        Args:
            root: The folder that the paths in the sentence are relative to.
        """
        if not self.repeated:
            return ()
        if self.repeated == self.validation:
            count = f"All {self.validation:,} validation images are"
        elif self.compared == self.validation:
            # Not "of the N": some of the N may turn out to be unreadable.
            one = self.repeated == 1
            count = f"{self.repeated:,} validation {'image is' if one else 'images are'}"
        else:
            compared = f"{self.compared:,} validation images that were compared in {SECONDS:g} s"
            count = f"{self.repeated:,} of the {compared} {'is' if self.repeated == 1 else 'are'}"
        first, other = (printable(os.path.relpath(path, root)) for path in self.example)
        return (
            f"{count} also among the training images, so the validation accuracy is optimistic; "
            f"use other images for validation. Such as {first}, which is the same as {other}.",
        )

    def unfinished(self) -> str:
        """Return how much was compared if the time did not suffice; else an empty text."""
        if self.compared == self.validation:
            return ""
        return (
            f"{self.compared:,} of {self.validation:,} compared with the training images "
            f"in {SECONDS:g} s"
        )


def find_repeated(
    train: Sequence[Sample], val: Sequence[Sample], seconds: float = SECONDS
) -> Generator[None, None, RepeatedImages]:
    """Compare validation images with training images: by inode, by size, then by content.

    If the time does not suffice for all of them, some are compared with those of the same name.

    Args:
        train: The training images.
        val: The validation images.
        seconds: The longest time that this may take.

    Yields:
        None after each unit of work.

    Returns:
        What was found in this time.
    """
    deadline = time.monotonic() + seconds
    # A stride through all classes, so that what is compared in time is not one class alone.
    stride = max(1, len(val) // FIRST_COMPARED)
    by_name = _compare_names(train, val[::stride], len(val))
    yield
    result = RepeatedImages(len(val))
    by_size: dict[int, list[str]] = defaultdict(list)
    by_inode: dict[tuple[int, int], str] = {}
    for number, sample in enumerate(train, start=1):
        if (status := _status(sample.path)) is not None:
            by_size[status.st_size].append(sample.path)
            by_inode[status.st_dev, status.st_ino] = sample.path
        if number % FILES_PER_YIELD == 0:
            yield
            if time.monotonic() > deadline:
                return by_name
    probes: dict[int, dict[bytes, list[str]]] = {}
    work = 0
    for path in (sample.path for first in range(stride) for sample in val[first::stride]):
        status = _status(path)
        same = ""
        if status is not None and status.st_size:
            same = by_inode.get((status.st_dev, status.st_ino), "")
            candidates = () if same else by_size.get(status.st_size, ())
            if candidates and status.st_size not in probes:
                table: dict[bytes, list[str]] = defaultdict(list)
                for candidate in candidates:
                    table[_probe(candidate)].append(candidate)
                    work += 1
                    if work % FILES_PER_YIELD == 0:
                        yield
                        if time.monotonic() > deadline:
                            return max(result, by_name, key=lambda one: one.compared)
                probes[status.st_size] = table
            if candidates:
                same = _copy_of(path, probes[status.st_size])
        result.add(path, same)
        work += 1
        if work % FILES_PER_YIELD == 0:
            yield
        if time.monotonic() > deadline:
            break
    return result


def _compare_names(
    train: Sequence[Sample], some: Sequence[Sample], validation: int
) -> RepeatedImages:
    """Compare validation images with the training images of the same class and file name.

    Args:
        train: The training images.
        some: Some of the validation images.
        validation: The number of all validation images.
    """
    result = RepeatedImages(validation)
    wanted = {(sample.label, os.path.basename(sample.path)) for sample in some}
    named: dict[tuple[int, str], str] = {}
    for sample in train:
        if (key := (sample.label, os.path.basename(sample.path))) in wanted:
            named[key] = sample.path
    for sample in some:
        other = named.get((sample.label, os.path.basename(sample.path)), "")
        result.add(sample.path, other if other and _same_file(sample.path, other) else "")
    return result


def _same_file(one: str, other: str) -> bool:
    a, b = _status(one), _status(other)
    if a is None or b is None or not a.st_size or a.st_size != b.st_size:
        return False
    return os.path.samestat(a, b) or _same_content(one, other)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:  # it is reported when it is read
        return None


def _copy_of(path: str, probes: dict[bytes, list[str]]) -> str:
    """Return the first of some files of the same size with the same content; empty if none has.

    Args:
        path: The file.
        probes: The files of its size by `_probe`.
    """
    probe = _probe(path)
    candidates = probes.get(probe, []) if probe else []
    return next((other for other in candidates if _same_content(path, other)), "")


def _probe(path: str) -> bytes:
    """Return a digest of some bytes in the middle of a file; empty if it cannot be read."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, (size - PROBE_BYTES) // 2))
            return hashlib.blake2b(file.read(PROBE_BYTES), digest_size=16).digest()
    except OSError:
        return b""


def _same_content(one: str, other: str) -> bool:
    try:
        with open(one, "rb") as a, open(other, "rb") as b:
            while (chunk := a.read(2**20)) == b.read(2**20):
                if not chunk:
                    return True
    except OSError:
        pass
    return False
