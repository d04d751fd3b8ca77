"""Draw the demo task: hot dog / not hot dog, as a folder of 128 x 128 JPEG images.

The workbench has to be usable immediately, without a download and without photographs of unknown
origin, so this program draws an image folder. Both classes share colours, tables, plates and
surrounding objects. Only the arrangement differs: a hot dog is a sausage lying lengthwise in a
split bun. The class ``not_hot_dog`` has the same sausages without a bun, the same buns without a
sausage, the two side by side, and other foods and objects in red, yellow and brown.

Every image is determined by one integer seed; ``train/`` and ``val/`` use different seeds.

Licence: the images are made by this program and are Apache-2.0, as the project is.

Run it with ``python -m tools.draw_demo.draw [--out DIR] [--contact-sheet FILE]``.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from demo_data import images_dir
from tools.draw_demo.backgrounds import SUPPORTS, background
from tools.draw_demo.bakes import hot_dog, one_hot_dog
from tools.draw_demo.hands import hand, paper_sleeve
from tools.draw_demo.kinds import DISTRACTORS, HELD_OTHERS, LONG_OTHERS, OTHERS
from tools.draw_demo.painter import SIZE, Frame, Scene

CLASSES = ("hot_dog", "not_hot_dog")
# Multiples of the number of kinds in `not_hot_dog`, so that each kind is equally frequent.
COUNTS = {"train": 250, "val": 75}
# Far apart, so that no seed of one split or class can appear in another.
FIRST_SEED = {"train": 100_000, "val": 500_000}
CLASS_STEP = 10_000
JPEG_QUALITY = 84
LONG = {hot_dog, *LONG_OTHERS}  # may be wrapped in paper
HELD = {hot_dog, *HELD_OTHERS}  # may be held in a hand


@dataclass(frozen=True)
class Plan:
    """One image to draw.

    Attributes:
        split: ``train`` or ``val``.
        label: The name of the class folder.
        index: The number of the image within its split and class.
        seed: The random seed that determines the image.
    """

    split: str
    label: str
    index: int
    seed: int

    @property
    def path(self) -> Path:
        """The file's path relative to the image folder."""
        return Path(self.split) / self.label / f"{self.label}_{self.index:03d}.jpg"


def plans() -> Iterator[Plan]:
    """Yield every image of the data set, in a fixed order."""
    for split, count in COUNTS.items():
        for position, label in enumerate(CLASSES):
            for index in range(count):
                seed = FIRST_SEED[split] + position * CLASS_STEP + index
                yield Plan(split, label, index, seed)


def _subject(label: str, index: int) -> Callable[[Scene, Frame], None]:
    # Cycling through the kinds puts all of them into both splits.
    return hot_dog if label == "hot_dog" else OTHERS[index % len(OTHERS)]


def _distractors(scene: Scene, low: int, high: int) -> None:
    """Paint objects around the edge of the table, often partly outside the picture."""
    for _ in range(scene.integer(low, high)):
        where, far = scene.uniform(0, 2 * math.pi), scene.uniform(0.9, 1.15)
        f = scene.frame(
            far * math.cos(where), far * math.sin(where), scene.uniform(0, 2 * math.pi),
            scene.uniform(0.20, 0.36),
        )  # fmt: skip
        scene.pick(DISTRACTORS)(scene, f)


def _develop(scene: Scene) -> Image.Image:
    """Turn the canvas into a photograph: exposure, white balance, focus and sensor noise."""
    rgb = np.clip(scene.rgb, 0, 1)
    vignette = 1 - scene.uniform(0, 0.28) * (scene.x**2 + scene.y**2) / 2
    rgb = rgb * vignette[..., None]
    balance = np.array([scene.uniform(0.95, 1.06), 1.0, scene.uniform(0.92, 1.06)])
    rgb = rgb * balance * scene.uniform(0.92, 1.22)
    grey = rgb.mean(axis=2, keepdims=True)
    rgb = grey + (rgb - grey) * scene.uniform(0.85, 1.15)
    rgb = (rgb - 0.45) * scene.uniform(0.8, 1.12) + 0.45
    canvas = Image.fromarray((np.clip(rgb, 0, 1) * 255).astype(np.uint8))
    small = canvas.resize((SIZE, SIZE), Image.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(scene.uniform(0.0, 0.75)))
    noise = scene.rng.standard_normal((SIZE, SIZE, 1)) + 0.4 * scene.rng.standard_normal(
        (SIZE, SIZE, 3)
    )
    noisy = np.asarray(small, np.float32) + scene.uniform(0.5, 2.8) * noise
    return Image.fromarray(np.clip(noisy + 0.5, 0, 255).astype(np.uint8))


def draw(plan: Plan) -> Image.Image:
    """Draw one image of the data set.

    Args:
        plan: The image to draw.

    Returns:
        An RGB image of 128 x 128 pixels, always the same for the same plan.
    """
    scene = Scene(plan.seed)
    background(scene)
    angle = scene.uniform(0, 2 * math.pi)
    x, y = scene.uniform(-0.13, 0.13), scene.uniform(-0.13, 0.13)
    scale = scene.uniform(0.84, 1.02)
    if scene.chance(0.08):  # close to the camera and cut off by the edge
        scale, x, y = scene.uniform(1.05, 1.25), 2.0 * x, 2.0 * y
    below = scene.chance(0.25)
    if below:
        _distractors(scene, 1, 1)
    subject = _subject(plan.label, plan.index)
    held = subject in HELD and scene.chance(0.07)
    if held and subject is hot_dog:
        subject = one_hot_dog  # a hand holds only one
    if not held and scene.chance(0.76):
        f = scene.frame(x, y, angle + scene.uniform(-0.3, 0.3), scale * scene.uniform(1.05, 1.35))
        scene.pick(SUPPORTS)(scene, f)
    f = scene.frame(x, y, angle, scale)
    thumb = hand(scene, f) if held else None
    subject(scene, f)
    if subject in LONG and scene.chance(0.06):
        paper_sleeve(scene, f)
    if thumb:
        thumb()
    if not below:
        _distractors(scene, 0, scene.pick([0, 1, 2]))
    return _develop(scene)


def encode(image: Image.Image) -> bytes:
    """Return the image as the bytes of a JPEG file."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()


def contact_sheet(columns: int = 12, rows: int = 4, cell: int = 80) -> Image.Image:
    """Return a contact sheet of validation images, with the hot dogs on the left half."""
    sheet = Image.new("RGB", (columns * cell, rows * cell), "white")
    half = columns // 2
    for position, label in enumerate(CLASSES):
        for k in range(half * rows):
            path = images_dir() / "val" / label / f"{label}_{k:03d}.jpg"
            with Image.open(path) as image:
                small = image.resize((cell - 2, cell - 2), Image.Resampling.LANCZOS)
            column = k % half + position * half
            sheet.paste(small, (column * cell + 1 + 4 * position - 2, k // half * cell + 1))
    return sheet


def main() -> None:
    """Draw the whole data set, or only a contact sheet of the existing one."""
    parser = argparse.ArgumentParser(description="Draw the hot dog / not hot dog images.")
    parser.add_argument("--out", type=Path, default=images_dir(), help="folder to write to")
    parser.add_argument(
        "--contact-sheet",
        type=Path,
        metavar="FILE",
        help="write only a contact sheet of the existing images",
    )
    options = parser.parse_args()
    if options.contact_sheet:
        contact_sheet().save(options.contact_sheet, quality=80, optimize=True)
        return
    total = 0
    for plan in plans():
        path = options.out / plan.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(draw(plan)))
        total += path.stat().st_size
    print(f"{sum(COUNTS.values()) * len(CLASSES)} images, {total / 1e6:.2f} MB, in {options.out}")


if __name__ == "__main__":
    main()
