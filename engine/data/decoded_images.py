"""Decoded images in memory, up to a limit: a second epoch does not read and decode them again.

What is kept stays until the end: epochs come to every image in turn, so that giving up the oldest
would give up just what is needed next. A file that was replaced is read anew.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

from PIL import Image
from torch import Tensor

Kept = TypeVar("Kept", Image.Image, Tensor)


class DecodedImages:
    """8-bit images by path; safe to use from several threads."""

    def __init__(self, limit: int) -> None:
        """
        Args:
            limit: Bytes that may be kept.
        """
        self.limit = limit
        self.bytes = 0
        self.hits = 0
        self._kept: dict[tuple[str, str], tuple[tuple[int, int], Image.Image | Tensor]] = {}
        self._lock = threading.Lock()

    def get(self, path: str, what: str, make: Callable[[], Kept]) -> Kept:
        """What is kept of a file, or what is made of it now.

        Args:
            path: The file.
            what: Of the things that are made of it; each has one name.
            make: Reads and decodes it; it may raise.
        """
        stamp = _stamp(path)
        found = self._kept.get((path, what))
        if found is not None and found[0] == stamp:
            self.hits += 1
            return found[1]  # type: ignore[return-value]
        made = make()
        if stamp is not None:
            self._keep((path, what), stamp, made)
        return made

    def _keep(
        self, key: tuple[str, str], stamp: tuple[int, int], made: Image.Image | Tensor
    ) -> None:
        with self._lock:
            before = self._kept.pop(key, None)
            if before is not None:
                self.bytes -= _size(before[1])
            if self.bytes + _size(made) <= self.limit:
                self._kept[key] = stamp, made
                self.bytes += _size(made)


def _size(kept: Image.Image | Tensor) -> int:
    return kept.nbytes if isinstance(kept, Tensor) else 3 * kept.width * kept.height


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
