"""What holds the food: a hand and a paper sleeve."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tools.draw_demo.backgrounds import CLOTHS
from tools.draw_demo.painter import (
    Array,
    Colour,
    Frame,
    Scene,
    box,
    capsule,
    ellipse,
    mix,
    smoothstep,
)

SKINS: list[Colour] = [
    (0.90, 0.68, 0.54),
    (0.78, 0.54, 0.40),
    (0.55, 0.36, 0.25),
    (0.36, 0.23, 0.17),
]


def _finger(scene: Scene, f: Frame, skin: Colour, length: float, nail: bool) -> None:
    """Paint a finger along ``u``, its tip at ``length``."""
    shape = capsule(f, length, 0.12)
    scene.paint(f, shape, skin, round_=0.12, shadow=0.10, gloss=0.12, shine=12)
    if nail:
        tip = f.at(length - 0.11, 0)
        pale = mix(skin, (0.98, 0.86, 0.82), 0.5)
        scene.paint(tip, ellipse(tip, 0.08, 0.065), pale, round_=0.05, gloss=0.3)


def hand(scene: Scene, f: Frame) -> Callable[[], None]:
    """Paint a hand under the subject.

    Returns:
        A function that paints the thumb over the subject.
    """
    skin = scene.jitter(scene.pick(SKINS), 0.03)
    palm = f.at(0, 1.3, math.pi / 2)
    scene.paint(palm, capsule(palm, 1.5, 0.40), skin, round_=0.4, shadow=0.2)
    sleeve = palm.at(2.2, 0)
    scene.paint(sleeve, box(sleeve, 1.3, 0.44), scene.pick(CLOTHS), round_=0.3, shadow=0.1)
    for k in range(4):
        finger = f.at(-0.36 + 0.24 * k, -0.1, -math.pi / 2 + scene.uniform(-0.06, 0.06))
        _finger(scene, finger, skin, scene.uniform(0.46, 0.56), False)

    def thumb() -> None:
        _finger(scene, f.at(-0.25, 0.55, -math.pi / 2 + 0.4), skin, 0.42, True)

    return thumb


def paper_sleeve(scene: Scene, f: Frame) -> None:
    """Wrap one end of a long object in paper."""
    colour = scene.pick([(0.94, 0.93, 0.90), (0.76, 0.60, 0.40), (0.85, 0.85, 0.86)])
    g = f.at(0.75, 0)
    edge = 0.08 * scene.swell(g, 0.5, 0.5) + 0.5 * np.abs(g.v) ** 2
    shape = np.maximum(box(g, 0.58, 0.46, 0.1), -g.u - 0.5 + edge).astype(np.float32)
    fill: Colour | Array = colour
    if scene.chance(0.5):
        lines = smoothstep(0.2, 0.4, np.sin((g.u + g.v) * 22).astype(np.float32))
        fill = mix(colour, scene.pick(CLOTHS), 0.8 * lines)
    fold = 0.08 * np.abs(scene.swell(g, 0.6, 0.6))
    scene.paint(g, shape, fill, round_=0.46, bump=fold, gloss=0.05, shadow=0.12)
