"""Keep decoded images in memory, up to a limit, so that later epochs need not decode them again.

Nothing is evicted. Every epoch visits all images, so evicting the oldest would drop exactly what
is needed next. A file that has changed is read again.
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
    """A thread-safe cache of 8-bit images by path."""

    def __init__(self, limit: int) -> None:
        """
        Args:
            limit: The number of bytes to keep at most.
        """
        self.limit = limit
        self.bytes = 0
        """The number of bytes kept."""
        self.hits = 0
        """The number of images that were returned from the cache."""
        self._kept: dict[tuple[str, str], tuple[tuple[int, int], Image.Image | Tensor]] = {}
        self._lock = threading.Lock()

    def get(self, path: str, kind: str, make: Callable[[], Kept]) -> Kept:
        """Return a decoded image from the cache, or decode it.

        Args:
            path: The file.
            kind: Name of the form in which the image is kept; each form has its own entry.
            make: Reads and decodes the file. It may raise.
        """
        stamp = _stamp(path)
        entry = self._kept.get((path, kind))
        if entry is not None and entry[0] == stamp:
            self.hits += 1
            return entry[1]  # type: ignore[return-value]
        image = make()
        if stamp is not None:
            self._keep((path, kind), stamp, image)
        return image

    def _keep(
        self, key: tuple[str, str], stamp: tuple[int, int], image: Image.Image | Tensor
    ) -> None:
        """Keep an image if there is room, in place of an older one of the same file."""
        with self._lock:
            before = self._kept.pop(key, None)
            if before is not None:
                self.bytes -= _size(before[1])
            if self.bytes + _size(image) <= self.limit:
                self._kept[key] = stamp, image
                self.bytes += _size(image)


def _size(image: Image.Image | Tensor) -> int:
    """Return the size of an image in bytes."""
    return image.nbytes if isinstance(image, Tensor) else 3 * image.width * image.height


def _stamp(path: str) -> tuple[int, int] | None:
    """Return a file's modification time and size, or None if it cannot be read."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
