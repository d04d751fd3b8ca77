"""Links to folders that would make images of one class count as another."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from engine.data.dataset.left_out import LINKS_ABOVE, LINKS_TO_CLASS


class LinkedFolders:
    """Tells which links in a class folder lead to a folder above it or to another class."""

    def __init__(self) -> None:
        self._labels: dict[str, set[int]] = {}
        """The classes of each class folder, by its resolved path."""
        self._above: dict[str, set[int]] = {}
        """The classes below each folder above class folders."""

    def add_classes(self, folders: Iterable[tuple[str, int]]) -> None:
        """Add class folders with their labels."""
        for folder, label in folders:
            path = os.path.realpath(folder)
            self._labels.setdefault(path, set()).add(label)
            for above in _above(path):
                self._above.setdefault(above, set()).add(label)

    def wrong_kind(self, link: str, label: int | None) -> str:
        """Return the kind of a link that must not be followed, as `Tally` counts it; else nothing.

        Args:
            link: The path of a link to a folder.
            label: The class of the folder that it is in, if that is known.
        """
        target = os.path.realpath(link)
        folder = os.path.realpath(os.path.dirname(link))
        if target == folder or target in _above(folder):
            return LINKS_ABOVE
        if label is None:
            return ""
        others = self._above.get(target, set()) - {label}
        for path in (target, *_above(target)):
            if path in self._labels:
                # Of folders within folders, the innermost class is that of the images.
                others |= set() if label in self._labels[path] else self._labels[path]
                break
        return LINKS_TO_CLASS if others else ""


def _above(path: str) -> Iterator[str]:
    while (parent := os.path.dirname(path)) != path:
        yield (path := parent)
