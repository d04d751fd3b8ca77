"""What a dataset folder holds besides its images, counted by kind."""

from __future__ import annotations

import os

from engine.data.samples import printable
from tl_tui.protocol.dataset import LeftOut

SYSTEM = "system folders"
HIDDEN_FOLDERS = "hidden folders"
UNDERSCORED = "folders whose name begins with __"
HIDDEN = "hidden files"
SYSTEM_FILES = "system files"
OUTSIDE = "images outside the class folders"
UNKNOWN = "files without a known ending"
DEAD_LINKS = "links to nothing"
MISSING = "the file or folder that is linked is missing; is a disk not mounted?"
LINKS_ABOVE = "folders that link to a folder above"
LINKS_TO_CLASS = "folders that link to another class"
NOT_FOLLOWED = "not followed"
NO_IMAGE = "not an image"
TRUNCATED = "truncated or damaged"
TOO_MANY = "too many to look into, and not every one of a sample is an image"

_SYSTEM_FOLDERS = frozenset(
    {
        # Synology, QNAP and other NAS
        *("@eadir", "@tmp", "@recycle", "#recycle", "#snapshot", "@recently-snapshot"),
        *("@__thumb", ".@__thumb", "@sharebin", "@synoeastream", "@synologydrive", "@appstore"),
        *(".snapshot", ".snapshots", ".zfs", "network trash folder", "temporary items"),
        # Windows
        *("$recycle.bin", "recycler", "recycled", "system volume information", "$extend"),
        # macOS
        *("__macosx", ".appledouble", ".spotlight-v100", ".fseventsd", ".trashes", ".trash"),
        *(".temporaryitems", ".documentrevisions-v100"),
        # Linux, Android and programs
        *("lost+found", "lost.dir", ".thumbnails", ".thumbs", ".cache", "__pycache__", ".git"),
        *(".svn", ".ipynb_checkpoints", ".picasaoriginals", ".comments", ".dtrash"),
    }
)
_SYSTEM_STARTS = ("$recycle", ".trash-", "found.0", "@eadir", "$wintemp")
_SYSTEM_FILES = frozenset(
    {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "icon\r"}
)
_KINDS_SHOWN = 8
"""The number of endings that are named; the files with rarer ones are counted together."""


def is_system_folder(name: str) -> bool:
    """Return whether a folder belongs to a system or a NAS, such as `@eaDir`, by its name."""
    folded = name.casefold().strip()
    return folded in _SYSTEM_FOLDERS or folded.startswith(_SYSTEM_STARTS)


def is_system_file(name: str) -> bool:
    """Return whether a system writes files of this name next to images, such as `Thumbs.db`."""
    return name.lower() in _SYSTEM_FILES


def folder_kind(name: str) -> str:
    """Return the kind of a folder that holds no data for training; empty for any other folder."""
    if name[0] not in ".@#$_" and not is_system_folder(name):
        return ""
    if is_system_folder(name):
        return SYSTEM
    return HIDDEN_FOLDERS if name.startswith(".") else ""


def _is_minor(kind: str, reason: str) -> bool:
    """Return whether nobody would expect files of this kind to be used, such as `.txt`."""
    return kind in (HIDDEN, HIDDEN_FOLDERS, SYSTEM_FILES) or (kind.startswith(".") and not reason)


class Tally:
    """Counts what is left out, by kind, with an example of each that any file system gives."""

    def __init__(self, root: str) -> None:
        """
        Args:
            root: The folder that the examples' paths are relative to.
        """
        self.root = root
        self._kinds: dict[tuple[str, str], tuple[int, str]] = {}
        """Count and smallest path, by kind and reason."""

    def add(self, kind: str, path: str, reason: str = "", count: int = 1) -> None:
        """Count something of a kind: a noun in the plural, or an ending such as `.txt`."""
        before, example = self._kinds.get((kind, reason), (0, path))
        self._kinds[kind, reason] = before + count, min(example, path)

    def add_file(self, name: str, path: str) -> None:
        """Count a file that is not an image, by its name."""
        if is_system_file(name):
            self.add(SYSTEM_FILES, path)
        elif name.startswith("."):
            self.add(HIDDEN, path)
        else:
            ending = os.path.splitext(name)[1].lower()
            self.add(ending or UNKNOWN, path)

    def items(self) -> tuple[LeftOut, ...]:
        """Return the kinds, the most frequent first; files that are never images come last."""
        order = sorted(
            self._kinds.items(), key=lambda item: (_is_minor(*item[0]), -item[1][0], item[0])
        )
        endings = [key for key, _ in order if key[0].startswith(".")]
        rare = set(endings[_KINDS_SHOWN:])
        items = [self._item(*key, *value) for key, value in order if key not in rare]
        if rare:
            counts = [self._kinds[key] for key in rare]
            items.append(
                self._item("files of other types", "", sum(c for c, _ in counts), min(counts)[1])
            )
        return tuple(items)

    def words(self, most: int = 5) -> str:
        """Return the counts in words, such as `3 .pdf, 1 system folder`; empty if nothing is."""
        return ", ".join(f"{item.count:,} {item.kind}" for item in self.items()[:most])

    def _item(self, kind: str, reason: str, count: int, example: str) -> LeftOut:
        if count == 1:
            for many, one in (
                ("folders", "folder"),
                ("files", "file"),
                ("images", "image"),
                ("links", "link"),
            ):
                if kind.split()[0] == many or kind.endswith(many):
                    kind = kind.replace(many, one, 1).replace("that link ", "that links ")
                    break
        shown = example.removeprefix(self.root).lstrip(os.sep) or example
        return LeftOut(kind=kind, count=count, example=printable(shown), reason=reason)
