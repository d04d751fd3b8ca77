"""Errors whose text is shown to the user."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class Problem(ValueError):
    """An input that cannot be used; the text says what is wrong, where, and what to do."""

    choices: tuple[str, ...] = ()
    """Values for `--weights` that would work, if the weights are the problem."""


def write_remedy(error: BaseException, folder: Path, needed: int = 0) -> str:
    """Return what helps against a file that cannot be written, such as `free some space`.

    Args:
        error: The error. Some libraries raise errors without a number.
        folder: The file's folder.
        needed: The size of the file in bytes, as far as it is known.
    """
    number = getattr(error, "errno", None)
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return "close other programs, because memory ran out"
    if number == errno.EFBIG:
        return "raise the limit on the size of files (ulimit -f)"
    if number in _FORBIDDEN:
        return "make the folder writable"
    if number in _FULL or (number is None and _free_bytes(folder) < max(1, needed)):
        return "free some space"
    return "check the disk"


def _free_bytes(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
