"""The picture sets on which the demo backbone is measured; none was used to make it.

Beside the drawn hot dogs, three sets of real pictures that packages ship: scikit-image's faces, and
two that are put together from Debian packages, whose pictures lie in folders by subject. The
packages are fetched with `apt-get download` and unpacked, not installed; nothing is committed. A
picture is one item, so no part of it can stand on both sides of a split.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from demo_data import images_dir
from tools.demo_backbone import pictures
from tools.demo_backbone.pictures import Source

LARGEST = 160
"""Pictures are kept at most this large on their shorter side, in pixels."""

TUXPAINT = Source(
    "tuxpaint-stamps-default", "deb", "2022.06.04-1", "GPL-2", "usr/share/tuxpaint/stamps"
)
GCOMPRIS = Source(
    "gcompris-qt-data",
    "deb",
    "3.1-2",
    "public domain, CC-BY and CC-BY-SA 2.0 to 4.0, by picture",
    "usr/share/gcompris-qt/rcc",
)
STAMPS = {
    "animals": ("animals",),
    "food": ("food",),
    "plants": ("plants",),
    "things": ("household", "hobbies", "vehicles"),
}
"""Folders of the stamps that make a class; those named cartoon, toys and plastic are left out."""
CATEGORIES = ("fishes", "monuments", "renewable", "tools")


@dataclass(frozen=True)
class PictureSet:
    """Pictures with their classes."""

    name: str
    source: str
    """Package, version and licence."""
    real: bool
    classes: tuple[str, ...]
    pictures: list[Image.Image]
    labels: np.ndarray
    """[N] int."""
    held_out: np.ndarray | None
    """[N] bool: a split that comes with the set; None if any picture may stand on either side."""

    def split(self, per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the pictures to learn from, so many of each class, and of those held out."""
        random = np.random.default_rng(seed)
        order = random.permutation(len(self.labels))
        may = order if self.held_out is None else order[~self.held_out[order]]
        train = np.concatenate(
            [may[self.labels[may] == label][:per_class] for label in range(len(self.classes))]
        )
        rest = (
            np.setdiff1d(order, train) if self.held_out is None else np.flatnonzero(self.held_out)
        )
        return random.permutation(train), rest


def hot_dogs() -> PictureSet:
    """The embedded demo: learn from `train/`, hold out `val/`."""
    classes = ("hot_dog", "not_hot_dog")
    found = [
        (split, label, path)
        for split in ("train", "val")
        for label, name in enumerate(classes)
        for path in sorted((images_dir() / split / name).glob("*.jpg"))
    ]
    return PictureSet(
        "hot dog (drawn)",
        "demo_data, Apache-2.0",
        False,
        classes,
        [Image.open(path).convert("RGB") for _, _, path in found],
        np.array([label for _, label, _ in found]),
        np.array([split == "val" for split, _, _ in found]),
    )


def faces() -> PictureSet:
    """scikit-image's `lfw_subset`: 100 faces, 100 crops without, 25 x 25, grey."""
    import skimage.data

    grey = np.clip(skimage.data.lfw_subset() * 255, 0, 255).astype(np.uint8)
    return PictureSet(
        "faces",
        f"scikit-image {skimage.__version__}, lfw_subset, BSD-3-Clause",
        True,
        ("face", "no face"),
        [Image.fromarray(one).convert("RGB") for one in grey],
        np.repeat([0, 1], 100),
        None,
    )


def stamps(folder: Path) -> PictureSet:
    """Photographs cut out on white, from Tux Paint's stamps."""
    root = pictures.fetch(TUXPAINT, folder)
    images, labels = [], []
    for label, parts in enumerate(STAMPS.values()):
        for part in parts:
            for path in sorted((root / part).rglob("*.png")):
                if not {"cartoon", "toys", "plastic"} & set(path.parts):
                    with Image.open(path) as file:
                        images.append(_on_white(file))
                    labels.append(label)
    return PictureSet(
        "stamps", _named(TUXPAINT), True, tuple(STAMPS), images, np.array(labels), None
    )


def categories(folder: Path) -> PictureSet:
    """Photographs from GCompris' categorization activity."""
    root = pictures.fetch(GCOMPRIS, folder)
    images, labels = [], []
    for path, data in resources(root / "categorization.rcc"):
        kind = path.split("/")[-2]
        if kind in CATEGORIES and path.endswith(".webp"):
            images.append(_on_white(Image.open(io.BytesIO(data))))
            labels.append(CATEGORIES.index(kind))
    return PictureSet(
        "categories", _named(GCOMPRIS), True, CATEGORIES, images, np.array(labels), None
    )


def _named(source: Source) -> str:
    return f"Debian's {source.package} {source.version}, {source.licence}"


def _on_white(picture: Image.Image) -> Image.Image:
    coloured = picture.convert("RGBA")
    white = Image.new("RGBA", coloured.size, (255, 255, 255, 255))
    flat = Image.alpha_composite(white, coloured).convert("RGB")
    scale = LARGEST / min(flat.size)
    if scale < 1:
        flat = flat.resize((round(flat.width * scale), round(flat.height * scale)))
    return flat


def resources(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files in a Qt resource archive (.rcc, versions 1 to 3) that are stored uncompressed.

    It begins with `qres` and four big-endian numbers: version, and where the tree, the data and
    the names begin. A node of the tree is 14 bytes (22 from version 2 on, which adds a date).
    """
    raw = path.read_bytes()
    version, tree, data, names = struct.unpack(">4i", raw[4:20])
    size = 14 if version == 1 else 22

    def walk(node: int, parent: str) -> Iterator[tuple[str, bytes]]:
        at = tree + node * size
        name_at, flags, first, second = struct.unpack(">IHII", raw[at : at + 14])
        name_at += names
        length = struct.unpack(">H", raw[name_at : name_at + 2])[0]
        name = raw[name_at + 6 : name_at + 6 + 2 * length].decode("utf-16-be") if node else ""
        if flags & 2:  # a folder: how many, and the first
            for child in range(second, second + first):
                yield from walk(child, f"{parent}{name}/")
        elif not flags & 5:  # 1 is zlib, 4 is zstd
            start = data + second
            count = struct.unpack(">I", raw[start : start + 4])[0]
            yield f"{parent}{name}", raw[start + 4 : start + 4 + count]

    yield from walk(0, "")
