"""Find the image that a cell of a labels file names."""

from __future__ import annotations

import os

from engine.data.decoding import image_endings

COMMON_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
"""The order in which endings are tried for a name without one; other endings follow."""


class ImageFinder:
    """Finds images in some folders, also by a name without its ending or with backslashes."""

    def __init__(self, folders: tuple[str, ...]) -> None:
        """
        Args:
            folders: The folders that paths are relative to; the first one with the file is taken.
        """
        self.folders = folders
        self.ambiguous = 0
        """The number of names without an ending that fit several images."""
        self._stems: dict[str, dict[str, list[str]]] = {}
        """The images in a folder by their names without the ending."""
        rank = {ending: number for number, ending in enumerate(COMMON_ENDINGS)}
        self._rank = {ending: rank.get(ending, len(rank)) for ending in image_endings()}

    def find(self, name: str) -> str | None:
        """Return the path of an image; None if there is none of this name."""
        paths = self._paths(name)
        for path in paths:
            if os.path.isfile(path):
                return path
        for path in paths:
            folder, stem = os.path.split(path)
            if names := self._images(folder).get(stem):
                self.ambiguous += len(names) > 1
                return os.path.join(folder, names[0])
        return None

    def expected(self, name: str) -> str:
        """Return the path where an image should be."""
        return os.path.normpath(os.path.join(self.folders[0], name.replace("\\", "/")))

    def has_ending(self, name: str) -> bool:
        """Return whether a name has the ending of an image."""
        return os.path.splitext(name)[1].lower() in self._rank

    def looks_like_image(self, name: str) -> bool:
        """Return whether a cell names an image: it exists, or the ending is that of one."""
        return self.has_ending(name) or (bool(name) and self.find(name) is not None)

    def _paths(self, name: str) -> list[str]:
        """Return where an image may be, the likeliest place first."""
        names = [name, name.replace("\\", "/")] if "\\" in name else [name]
        return [os.path.normpath(os.path.join(f, name)) for name in names for f in self.folders]

    def _images(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._stems:
            stems: dict[str, list[str]] = {}
            try:
                names = sorted(os.listdir(folder))
            except (OSError, ValueError):  # there is no such folder, or the name has a null byte
                names = []
            for name in names:
                stem, ending = os.path.splitext(name)
                if ending.lower() in self._rank:
                    stems.setdefault(stem, []).append(name)
            for alike in stems.values():
                alike.sort(key=lambda name: self._rank[os.path.splitext(name)[1].lower()])
            self._stems[folder] = stems
        return self._stems[folder]
