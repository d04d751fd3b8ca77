"""The pool of small crops, cut once because cropping large pictures costs more than training."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from tools.demo_backbone import pictures

SIDE = 72
"""The side of a crop in pixels; views of 64 pixels are taken from it."""
AREA = (0.004, 0.6)
"""The smallest and largest share of the picture that a crop covers; sampled log-uniformly."""
ASPECT = (3 / 4, 4 / 3)


def cut(picture: Image.Image, count: int, seed: int) -> np.ndarray:
    """Return random resized crops of a picture.

    Returns:
        [count, 72, 72, 3] uint8.
    """
    random = np.random.default_rng(seed)
    crops = np.empty((count, SIDE, SIDE, 3), np.uint8)
    width, height = picture.size
    for index in range(count):
        share = np.exp(random.uniform(*np.log(AREA)))
        aspect = np.exp(random.uniform(*np.log(ASPECT)))
        least = min(32, width, height)  # a small share of a small picture is only a few pixels
        w = int(np.clip(np.sqrt(width * height * share * aspect), least, width))
        h = int(np.clip(np.sqrt(width * height * share / aspect), least, height))
        x, y = int(random.integers(width - w + 1)), int(random.integers(height - h + 1))
        crop = picture.resize(
            (SIDE, SIDE), Image.Resampling.BICUBIC, box=(x, y, x + w, y + h), reducing_gap=2.0
        )
        crops[index] = np.asarray(crop)
    return crops


def _cut_file(job: tuple[str, int, int]) -> np.ndarray:
    path, count, seed = job
    picture = pictures.read(Path(path))
    assert picture is not None
    return cut(picture, count, seed)


def _kept(work: Path, workers: int) -> list[Path]:
    """Return the pictures to crop. They are chosen once and listed in `pictures.json`."""
    root, listing = work / "packages", work / "pictures.json"
    if not listing.exists():
        kept = [
            {"package": source.package, "file": path.relative_to(root / source.package).as_posix()}
            for source, path in pictures.choose(root, workers)
        ]
        listing.write_text(json.dumps(kept, indent=1) + "\n")
    return [root / each["package"] / each["file"] for each in json.loads(listing.read_text())]


def pool(work: Path, *, count: int, seed: int, workers: int) -> np.ndarray:
    """Load the pool of crops, cutting it first if no earlier run did.

    Args:
        work: The folder for unpacked packages and for the pool.
        count: The approximate number of crops, spread evenly over all pictures.
        seed: The random seed of the crops.
        workers: The number of processes.

    Returns:
        [about count, 72, 72, 3] uint8, memory-mapped, ordered by picture.
    """
    file = work / f"crops-{count}-{seed}.npy"
    if not file.exists():
        kept = _kept(work, workers)
        each = max(1, count // len(kept))
        print(f"{len(kept)} pictures, {each} crops each", flush=True)
        partial = file.with_suffix(".part")
        crops = np.lib.format.open_memmap(
            partial, mode="w+", dtype=np.uint8, shape=(each * len(kept), SIDE, SIDE, 3)
        )
        jobs = [(str(path), each, seed + index) for index, path in enumerate(kept)]
        with ProcessPoolExecutor(workers) as processes:
            for index, cropped in enumerate(processes.map(_cut_file, jobs)):
                crops[index * each : (index + 1) * each] = cropped
        crops.flush()
        partial.rename(file)
    return np.load(file, mmap_mode="r")
