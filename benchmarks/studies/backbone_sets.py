"""The picture sets for evaluating the demo backbone; none of them was used to train it.

In addition to the drawn hot dogs, there are three sets of real pictures: scikit-image's faces, and
two sets from Debian packages whose pictures are sorted by subject. The packages are fetched with
`apt-get download` and unpacked without being installed; nothing is committed. Every picture is one
sample, so no part of it can be on both sides of a split.
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
"""The shorter side, in pixels, to which larger pictures are reduced."""

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
"""The folders that form each class; subfolders named cartoon, toys and plastic are excluded."""
CATEGORIES = ("fishes", "monuments", "renewable", "tools")


@dataclass(frozen=True)
class PictureSet:
    """Pictures with class labels, and their split."""

    name: str
    source: str
    """The package, its version and its licence."""
    real: bool
    """Whether the pictures are real rather than drawn by this project."""
    classes: tuple[str, ...]
    pictures: list[Image.Image]
    labels: np.ndarray
    """[N] int."""
    held_out: np.ndarray | None
    """The validation pictures of a fixed split, [N] bool; None if the split is random."""

    def split(self, per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Split the pictures into training and held-out pictures.

        Args:
            per_class: The number of training pictures per class.
            seed: The random seed of the split.

        Returns:
            The indices of the training pictures and of the held-out pictures.
        """
        random = np.random.default_rng(seed)
        order = random.permutation(len(self.labels))
        pool = order if self.held_out is None else order[~self.held_out[order]]
        train = np.concatenate(
            [pool[self.labels[pool] == label][:per_class] for label in range(len(self.classes))]
        )
        rest = (
            np.setdiff1d(order, train) if self.held_out is None else np.flatnonzero(self.held_out)
        )
        return random.permutation(train), rest


def hot_dogs() -> PictureSet:
    """Return the built-in demo; `train/` is for training and `val/` is held out."""
    classes = ("hot_dog", "not_hot_dog")
    files = [
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
        [Image.open(path).convert("RGB") for _, _, path in files],
        np.array([label for _, label, _ in files]),
        np.array([split == "val" for split, _, _ in files]),
    )


def faces() -> PictureSet:
    """Return scikit-image's `lfw_subset`: 100 faces and 100 crops without one, 25 x 25, grey."""
    import skimage.data

    grey = np.clip(skimage.data.lfw_subset() * 255, 0, 255).astype(np.uint8)
    return PictureSet(
        "faces",
        f"scikit-image {skimage.__version__}, lfw_subset, BSD-3-Clause",
        True,
        ("face", "no face"),
        [Image.fromarray(crop).convert("RGB") for crop in grey],
        np.repeat([0, 1], 100),
        None,
    )


def stamps(folder: Path) -> PictureSet:
    """Return Tux Paint's stamps: photographs of objects, cut out on white."""
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
    """Return the photographs of GCompris' categorization activity."""
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
    """Yield the uncompressed files in a Qt resource archive (.rcc, versions 1 to 3).

    The archive begins with `qres` and four big-endian numbers: the version and the offsets of the
    tree, the data and the names. A node of the tree has 14 bytes (22 since version 2, which adds a
    date).

    Yields:
        The path and the content of each file.
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
        if flags & 2:  # a folder: the number of its children, and the first child
            for child in range(second, second + first):
                yield from walk(child, f"{parent}{name}/")
        elif not flags & 5:  # 1 is zlib, 4 is zstd
            start = data + second
            count = struct.unpack(">I", raw[start : start + 4])[0]
            yield f"{parent}{name}", raw[start + 4 : start + 4 + count]

    yield from walk(0, "")
