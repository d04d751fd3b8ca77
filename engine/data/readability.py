"""Find unreadable images before training, by how each file begins and ends.

Decoding every image would take minutes for a large dataset. The header and the last bytes show
most files that are no images, and most that were cut off. A file that looks wrong is decoded, so
that the verdict and its reason are those of training.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from PIL import Image

from engine.data.decoding import NOT_OPENED, UnreadableImage, read_rgb
from engine.data.samples import A_FIFTH, DataProblem, ImageFolder, printable
from tl_tui.protocol.dataset import LeftOut

MOST_CHECKED = 20_000
"""The largest number of images that are checked before training. In a larger dataset, unreadable
images are found when they are decoded."""
IMAGES_PER_UNIT = 500
"""Images to check per unit of work."""
TAIL = 256
"""The number of bytes at the end of a file that are looked at."""
ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}
"""The bytes that a complete file of a format has near its end."""


def check_readable(folder: ImageFolder) -> Iterator[int | ImageFolder]:
    """Find the images of a dataset that cannot be read.

    Yields:
        The number of images checked so far; at last the dataset with what was found.

    Raises:
        DataProblem: The images that can be read are not enough for training.
    """
    known = dict(folder.unreadable)
    for found in find_unreadable([s.path for s in (*folder.train, *folder.val)]):
        if isinstance(found, dict):
            known |= found
        else:
            yield found
    source = folder.validation
    if known and source == A_FIFTH:  # the split was drawn before anything was read
        source = f"{A_FIFTH}, unreadable ones included"
    checked = replace(
        folder,
        validation=source,
        unreadable=known,
        left_out=(*folder.left_out, *_left_out(known)),
        findings=(*folder.findings, *_findings(replace(folder, unreadable=known))),
    )
    if known:
        _require_enough(checked)
    yield checked


def _left_out(unreadable: Mapping[str, str]) -> Iterator[LeftOut]:
    """Yield what is left out: files that are missing, and files that cannot be read."""
    missing = [path for path in unreadable if not os.path.lexists(path)]
    damaged = [path for path in unreadable if os.path.lexists(path)]
    for kind, paths in (("missing image", missing), ("unreadable image", damaged)):
        if paths:
            yield LeftOut(
                kind=kind if len(paths) == 1 else f"{kind}s",
                count=len(paths),
                example=printable(paths[0]),
                reason=unreadable[paths[0]] if paths is damaged else "",
            )


def _findings(folder: ImageFolder) -> Iterator[str]:
    """Yield a sentence about the classes that have no readable training image."""
    readable = {sample.label for sample in folder.readable(folder.train)}
    lost = [name for label, name in enumerate(folder.classes) if label not in readable]
    if lost:
        names = ", ".join(lost[:3]) + (f" and {len(lost) - 3:,} more" if len(lost) > 3 else "")
        yield f"Not one training image of {names} can be read."


def _require_enough(folder: ImageFolder) -> None:
    """Raise a problem unless images of two classes can be read for training."""
    train = folder.readable(folder.train)
    if len({sample.label for sample in train}) > 1:
        return
    path, reason = next(
        (s.path, folder.unreadable[s.path]) for s in folder.train if s.path in folder.unreadable
    )
    left = f"only images of {folder.classes[train[0].label]}" if train else "none"
    raise DataProblem(
        f"--data: of {len(folder.train)} training images, {left} can be read, and a classifier "
        f"needs two classes. The first that cannot be read is {printable(path)}: {reason}."
    )


def find_unreadable(paths: Sequence[str]) -> Iterator[int | dict[str, str]]:
    """Find the images that cannot be read.

    Args:
        paths: The images.

    Yields:
        The number of images checked so far; at last why an image cannot be read, by path.
    """
    found: dict[str, str] = {}
    if len(paths) <= MOST_CHECKED:
        with ThreadPoolExecutor(min(8, (os.cpu_count() or 2) + 2)) as pool:
            for first in range(0, len(paths), IMAGES_PER_UNIT):
                part = paths[first : first + IMAGES_PER_UNIT]
                for path, reason in zip(part, pool.map(reason_unreadable, part), strict=True):
                    if reason:
                        found[path] = reason
                yield first + len(part)
    yield found


def reason_unreadable(path: str) -> str:
    """Return why an image cannot be read; empty if it begins and ends as an image does."""
    if _looks_whole(path):
        return ""
    try:
        read_rgb(path)
    except UnreadableImage as error:
        return printable(str(error))
    except MemoryError:
        return ""  # that is no fault of the image
    return ""


def _looks_whole(path: str) -> bool:
    """Return whether a file has the header of an image and ends as its format does."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a named pipe would block
            return False
        with open(path, "rb") as file:
            with Image.open(file) as image:
                kind = image.format or ""
                offsets = [tile[2] for tile in getattr(image, "tile", ()) or ()]
            if kind in NOT_OPENED or any(offset >= status.st_size for offset in offsets):
                return False
            if kind == "WEBP":
                file.seek(4)
                return int.from_bytes(file.read(4), "little") + 8 <= status.st_size
            file.seek(max(0, status.st_size - TAIL))
            tail = file.read()
            if kind == "GIF":
                return tail.rstrip(b"\0").endswith(b";")
            return ENDS.get(kind, b"") in tail
    except Exception:  # a damaged header can raise anything
        return False
