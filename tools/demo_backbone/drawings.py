"""A pool of drawings on grounds of many kinds: photographs alone teach little about drawn things.

Clip art from Debian's openclipart-png, every picture of it dedicated to the public domain. Only
folders of things are taken, no signs, shapes, icons or logos. A drawing is turned a little, laid at
some size on white, on a plain colour or on a crop of a photograph, and becomes one more small crop.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from tools.demo_backbone import pictures
from tools.demo_backbone.crops import SIDE

SOURCE = pictures.Source(
    "openclipart-png",
    "deb",
    "1:0.18+dfsg-19",
    "public domain",
    "usr/share/openclipart/png",
    suffixes=(".png",),
)
FOLDERS = (
    "animals",
    "buildings",
    "containers",
    "education",
    "electronics",
    "food",
    "office",
    "people",
    "plants",
    "recreation",
    "science",
    "tools",
    "transportation",
)
WITHOUT = ("cards", "dice", "chess", "isometric")
"""Folders of those that hold one drawing many times over."""
SMALLEST_SIDE = 48
SIZES = (0.45, 1.05)
"""Longer side of a drawing as a share of the crop's."""
GROUNDS = (0.3, 0.3, 0.4)
"""Shares of white, of a plain colour and of a photograph's crop below a drawing."""


def files(work: Path) -> list[Path]:
    """The drawings that are taken, in a fixed order. Raises pictures.SourceProblem."""
    root = pictures.fetch(SOURCE, work / "packages")
    return [
        path
        for path in pictures.files(SOURCE, work / "packages")
        if path.relative_to(root).parts[0] in FOLDERS and not set(WITHOUT) & set(path.parts)
    ]


def lay(drawing: Image.Image, ground: np.ndarray | None, random: np.random.Generator) -> np.ndarray:
    """One crop: the drawing (RGBA) on a ground [S, S, 3] uint8, or on white or a colour."""
    if ground is not None:
        below = Image.fromarray(ground)
    elif random.random() < GROUNDS[0] / (GROUNDS[0] + GROUNDS[1]):
        below = Image.new("RGB", (SIDE, SIDE), (255, 255, 255))
    else:
        red, green, blue = (int(value) for value in random.integers(256, size=3))
        below = Image.new("RGB", (SIDE, SIDE), (red, green, blue))
    scale = SIDE * random.uniform(*SIZES) / max(drawing.size)
    width, height = (max(2, round(side * scale)) for side in drawing.size)
    small = drawing.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if random.random() < 0.5:
        small = small.rotate(float(random.uniform(-40, 40)), Image.Resampling.BICUBIC, expand=True)
    x, y = ((SIDE - side) / 2 + random.uniform(-0.15, 0.15) * SIDE for side in small.size)
    below.paste(small, (round(x), round(y)), small)
    return np.asarray(below)


def _lay_file(job: tuple[str, int, int, str]) -> np.ndarray | None:
    path, count, seed, photographs = job
    random = np.random.default_rng(seed)
    below = np.load(photographs, mmap_mode="r")
    try:
        with Image.open(path) as file:
            if min(file.size) < SMALLEST_SIDE:
                return None
            drawing = file.convert("RGBA")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    drawing.thumbnail((2 * SIDE, 2 * SIDE), Image.Resampling.LANCZOS)
    return np.stack(
        [
            lay(
                drawing,
                below[random.integers(len(below))] if random.random() < GROUNDS[2] else None,
                random,
            )
            for _ in range(count)
        ]
    )


def pool(work: Path, *, each: int, seed: int, workers: int, photographs: Path) -> np.ndarray:
    """The pool, from the file of an earlier run or made now.

    Args:
        work: Where packages are unpacked and the pool is kept.
        each: Crops of every drawing.
        seed: Of all that is drawn by lot.
        workers: Processes.
        photographs: The pool of `crops.py`, [M, S, S, 3] uint8, for grounds.

    Returns:
        [N, 72, 72, 3] uint8, memory-mapped, drawing after drawing.
    """
    file = work / f"drawings-{each}-{seed}.npy"
    if not file.exists():
        jobs = [
            (str(path), each, seed + index, str(photographs))
            for index, path in enumerate(files(work))
        ]
        with ProcessPoolExecutor(workers) as processes:
            made = [
                some for some in processes.map(_lay_file, jobs, chunksize=8) if some is not None
            ]
        print(f"{len(made)} drawings, {each} crops of each", flush=True)
        partial = file.with_suffix(".part.npy")
        np.save(partial, np.concatenate(made))
        partial.rename(file)
    return np.load(file, mmap_mode="r")
