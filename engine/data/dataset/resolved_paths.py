"""Resolve paths, to tell whether two of them lead to the same file."""

from __future__ import annotations

import os


class ResolvedPaths:
    """Resolves symbolic links in paths; the folders among them once."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def resolve(self, path: str) -> str:
        """Return the absolute path of a file, without symbolic links."""
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)
