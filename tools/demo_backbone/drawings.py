"""The pool of drawings on various backgrounds; photographs alone teach little about drawings.

The drawings are clip art from Debian's openclipart-png, all of it dedicated to the public domain.
Only folders of objects are used: no signs, shapes, icons or logos. Each crop shows a drawing,
rotated and scaled at random, on white, on a plain colour or on a crop of a photograph.
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
"""Excluded folders, which repeat one drawing many times."""
SMALLEST_SIDE = 48
"""The shorter side, in pixels, below which a drawing is skipped."""
SIZES = (0.45, 1.05)
"""The range of a drawing's longer side, as a share of the crop's side."""
GROUNDS = (0.3, 0.3, 0.4)
"""The shares of white, plain-colour and photograph backgrounds."""


def files(work: Path) -> list[Path]:
    """Return the drawings to use, in a fixed order.

    Raises:
        pictures.SourceProblem: The package cannot be fetched.
    """
    root = pictures.fetch(SOURCE, work / "packages")
    return [
        path
        for path in pictures.files(SOURCE, work / "packages")
        if path.relative_to(root).parts[0] in FOLDERS and not set(WITHOUT) & set(path.parts)
    ]


def lay(drawing: Image.Image, ground: np.ndarray | None, random: np.random.Generator) -> np.ndarray:
    """Paste a drawing onto a background and return the crop.

    Args:
        drawing: The drawing, RGBA.
        ground: A crop of a photograph [S, S, 3] uint8; None for white or a plain colour.
        random: The source of random numbers.

    Returns:
        [S, S, 3] uint8.
    """
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
    """Load the pool of drawings, making it first if no earlier run did.

    Args:
        work: The folder for unpacked packages and for the pool.
        each: The number of crops per drawing.
        seed: The random seed.
        workers: The number of processes.
        photographs: The file with the pool of `crops.py`, [M, S, S, 3] uint8, for backgrounds.

    Returns:
        [N, 72, 72, 3] uint8, memory-mapped, ordered by drawing.
    """
    file = work / f"drawings-{each}-{seed}.npy"
    if not file.exists():
        jobs = [
            (str(path), each, seed + index, str(photographs))
            for index, path in enumerate(files(work))
        ]
        with ProcessPoolExecutor(workers) as processes:
            made = [
                laid for laid in processes.map(_lay_file, jobs, chunksize=8) if laid is not None
            ]
        print(f"{len(made)} drawings, {each} crops each", flush=True)
        partial = file.with_suffix(".part.npy")
        np.save(partial, np.concatenate(made))
        partial.rename(file)
    return np.load(file, mmap_mode="r")
