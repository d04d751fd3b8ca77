"""What a folder holds, judging by the names in it."""

from __future__ import annotations

import os
from pathlib import Path

from engine.data.dataset.class_names import folded
from engine.data.dataset.left_out import DEAD_LINKS, MISSING, OUTSIDE, Tally
from engine.data.dataset.listing import OTHER_ENDINGS, class_folders, is_dead_link, is_folder
from engine.data.dataset.split_names import GENERIC, split_of
from engine.data.decoding import image_endings


def wraps(folder: Path) -> bool:
    """Return whether a folder holds folders alone, and so is no class."""
    return bool(class_folders(folder, Tally(""))) and not direct_images(folder)


def direct_images(folder: Path) -> int:
    """Return the number of images that lie directly in a folder, judging by their endings."""
    endings = image_endings()
    with os.scandir(folder) as entries:
        return sum(
            not entry.name.startswith(".")
            and os.path.splitext(entry.name)[1].lower() in endings
            and not is_folder(entry)
            for entry in entries
        )


def holds_files(folder: Path) -> bool:
    """Return whether there is any file below a folder that may be an image, so that it may be a
    class."""
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            ending = os.path.splitext(name)[1].lower()
            if not name.startswith(".") and ending not in OTHER_ENDINGS:
                return True
    return False


def count_files(root: Path, tally: Tally) -> None:
    """Count the files that lie beside the class folders."""
    endings = image_endings()
    with os.scandir(root) as entries:
        for entry in entries:
            if is_folder(entry):
                continue
            ending = os.path.splitext(entry.name)[1].lower()
            if is_dead_link(entry):
                tally.add(DEAD_LINKS, entry.path, MISSING)
            elif ending in endings and not entry.name.startswith("."):
                tally.add(OUTSIDE, entry.path)
            else:
                tally.add_file(entry.name, entry.path)


def class_root(folder: Path) -> Path | None:
    """Return where the class folders in a part of a split are; None if it has none.

    They may be in a single folder that repeats the name of the part or says `images`.
    """
    inner = _repeated_folder(folder)
    if inner is not None:
        return inner if wraps(inner) else None
    return folder if class_folders(folder, Tally("")) else None


def image_root(folder: Path) -> Path:
    """Return the folder in which the images of a part of a split without class folders are."""
    return _repeated_folder(folder) or folder


def _repeated_folder(folder: Path) -> Path | None:
    """Return the single folder in a folder, if it repeats its name or says `images`."""
    names = class_folders(folder, Tally(""))
    if len(names) != 1:
        return None
    inner, own = split_of(names[0]), split_of(folder.name)
    same_role = inner is not None and own is not None and inner.role == own.role
    return folder / names[0] if same_role or folded(names[0]) in GENERIC else None
