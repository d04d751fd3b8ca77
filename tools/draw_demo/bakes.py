"""Bread, sausages, sauces and toppings: the parts that both classes are made of."""

from __future__ import annotations

import math

import numpy as np

from tools.draw_demo.painter import (
    Array,
    Colour,
    Frame,
    Scene,
    box,
    capsule,
    disc,
    ellipse,
    mix,
    petals,
    ring,
    smoothstep,
)

CRUSTS: list[Colour] = [
    (0.80, 0.54, 0.26), (0.76, 0.49, 0.23), (0.86, 0.64, 0.36), (0.68, 0.42, 0.20),
    (0.90, 0.72, 0.48), (0.82, 0.57, 0.33),
]  # fmt: skip
CRUMB: Colour = (0.95, 0.86, 0.68)
SAUSAGES: list[Colour] = [
    (0.66, 0.25, 0.15), (0.74, 0.32, 0.19), (0.58, 0.20, 0.12), (0.78, 0.38, 0.24),
    (0.64, 0.29, 0.16), (0.72, 0.20, 0.13),
]  # fmt: skip
MUSTARD: Colour = (0.93, 0.73, 0.10)
KETCHUP: Colour = (0.72, 0.08, 0.06)
MAYO: Colour = (0.95, 0.92, 0.80)
GREENS: list[Colour] = [(0.35, 0.58, 0.18), (0.48, 0.68, 0.26), (0.24, 0.44, 0.14)]


def crust(scene: Scene, f: Frame, toast: Array | float, base: Colour | None = None) -> Array:
    """Return the colour of a baked crust: paler where ``toast`` is 0, browner where it is 1."""
    brown = scene.jitter(base or scene.pick(CRUSTS), 0.05)
    pale = mix(brown, (0.98, 0.86, 0.62), 0.45)
    dark = mix(brown, (0.36, 0.17, 0.07), 0.40)
    amount = np.clip(toast + 0.22 * scene.grain(f, 0.5, 0.5), 0, 1)
    return mix(mix(pale, brown, np.minimum(amount * 2, 1)), dark, np.clip(amount * 2 - 1, 0, 1))


def seeds(scene: Scene, f: Frame, half_length: float, half_width: float, count: int) -> None:
    """Scatter sesame or poppy seeds over a region."""
    dark = scene.chance(0.2)
    for _ in range(count):
        grain = f.at(
            scene.uniform(-half_length, half_length),
            scene.uniform(-half_width, half_width),
            scene.uniform(0, math.pi),
        )
        colour = (0.12, 0.11, 0.13) if dark else scene.jitter((0.95, 0.88, 0.68), 0.04)
        scene.paint(grain, ellipse(grain, 0.034, 0.02), colour, round_=0.02, shadow=0.012)


def sausage(
    scene: Scene, f: Frame, half_length: float, radius: float, shadow: float = 0.12
) -> None:
    """Paint a sausage along ``u``, sometimes with grill marks, cuts or charred spots."""
    base = scene.jitter(scene.pick(SAUSAGES), 0.05)
    shape = capsule(f, half_length, radius) + radius * 0.07 * scene.swell(f, 0.4, 0.4)
    tip = smoothstep(half_length - 1.1 * radius, half_length, np.abs(f.u))
    colour = mix(base, (0.30, 0.10, 0.06), 0.45 * tip)
    colour = colour * (1 + 0.13 * scene.grain(f, 0.6, 0.9))[..., None]
    bump = 0.012 * scene.swell(f, 0.8, 0.8)
    style = scene.integer(0, 4)
    if style in (0, 1):
        lean, period = scene.uniform(-1.0, 1.0), scene.uniform(9, 17)
        stripes = smoothstep(0.45, 0.85, np.sin((f.u + lean * f.v) * period).astype(np.float32))
        colour = mix(colour, (0.17, 0.07, 0.04), scene.uniform(0.45, 0.85) * stripes)
        bump = bump - 0.012 * stripes
    elif style == 2:
        char = smoothstep(0.25, 0.9, scene.grain(f, 0.8, 0.8))
        colour = mix(colour, (0.16, 0.07, 0.04), 0.7 * char)
    gloss = scene.uniform(0.2, 0.65)
    scene.paint(
        f, shape, colour, round_=radius, bump=bump, gloss=gloss, shine=scene.uniform(15, 60),
        shadow=shadow,
    )  # fmt: skip


def squirt(
    scene: Scene, f: Frame, half_length: float, amplitude: float, colour: Colour | None = None
) -> None:
    """Paint a line of sauce along ``u``: straight, waving or a zigzag, or a few blobs."""
    hue = colour or scene.pick([MUSTARD, MUSTARD, KETCHUP, KETCHUP, MAYO])
    style = scene.integer(0, 3)
    frequency, phase = scene.uniform(6, 17), scene.uniform(0, 6.3)
    thickness = scene.uniform(0.035, 0.065)
    if style == 0:
        path, slope = amplitude * 0.7 * scene.swell(f, 0.25, 0.01), 0.0 * f.u
    elif style == 1:
        wave = (f.u * frequency + phase) / math.pi
        path = amplitude * (2 * np.abs(wave - 2 * np.floor(wave / 2) - 1) - 1)
        slope = np.full_like(f.u, 2 * amplitude * frequency / math.pi)
    else:
        path = amplitude * np.sin(f.u * frequency + phase)
        slope = amplitude * frequency * np.cos(f.u * frequency + phase)
    uneven = thickness * (1 + 0.3 * scene.swell(f, 0.6, 0.6))
    # Dividing by the slope turns the distance along v into the distance to the curve.
    line = np.abs(f.v - path) / np.sqrt(1 + slope * slope)
    ends = np.maximum(np.abs(f.u) - half_length, 0)
    shape = (np.hypot(line, ends) - uneven).astype(np.float32)
    scene.paint(
        f, shape, scene.jitter(hue, 0.04), round_=thickness, gloss=0.45, shine=40, shadow=0.04,
        edge=0.3,
    )  # fmt: skip


def bits(
    scene: Scene, f: Frame, half_length: float, half_width: float, kind: str, count: int
) -> None:
    """Scatter a topping: ``onion``, ``relish``, ``kraut``, ``chilli``, ``pickle`` or ``crumbs``."""
    for _ in range(count):
        bit = f.at(
            scene.uniform(-half_length, half_length),
            scene.rng.normal(0, half_width / 1.7),
            scene.uniform(0, math.pi),
        )
        if kind == "onion":
            colour, shape = (0.93, 0.90, 0.86), box(bit, 0.05, 0.03, 0.012)
            if scene.chance(0.2):
                colour = (0.72, 0.50, 0.62)
        elif kind == "relish":
            colour, shape = scene.pick(GREENS), ellipse(bit, 0.05, 0.035)
        elif kind == "kraut":
            curl = bit.bent(scene.uniform(-5, 5))
            colour, shape = (0.90, 0.86, 0.62), capsule(curl, 0.17, 0.018)
        elif kind == "chilli":
            colour, shape = (0.42, 0.18, 0.10), petals(bit, 0.06, 3, 0.25)
        elif kind == "pickle":
            colour, shape = (0.45, 0.55, 0.16), disc(bit, 0.10)
        else:
            colour, shape = (0.70, 0.45, 0.18), ellipse(bit, 0.05, 0.025)
        scene.paint(bit, shape, scene.jitter(colour, 0.06), round_=0.03, gloss=0.2, shadow=0.025)
        if kind == "pickle":
            rim = ring(bit, 0.085, 0.012)
            scene.paint(bit, rim, (0.25, 0.38, 0.10), round_=0.02)


def leaf(scene: Scene, f: Frame, half_length: float, half_width: float) -> None:
    """Paint a ruffled strip of lettuce along ``u``."""
    ruffle = 0.055 * np.sin(f.u * scene.uniform(20, 30)) + 0.05 * scene.grain(f, 0.8, 0.8)
    shape = (capsule(f, half_length, half_width) + ruffle).astype(np.float32)
    green = scene.jitter(scene.pick(GREENS), 0.05)
    edge = smoothstep(-0.16, 0.0, shape)
    bump = 0.06 * scene.swell(f, 0.9, 0.9)
    colour = mix(mix(green, (0.80, 0.88, 0.55), 0.4), green, edge)
    scene.paint(f, shape, colour, round_=0.04, bump=bump, gloss=0.15, shadow=0.06)


def bun_bottom(scene: Scene, f: Frame, width: float, base: Colour, fill: bool = True) -> None:
    """Paint the hull of a long bun (half length 1) and the pale crumb of its opening."""
    wobble = 0.025 * scene.swell(f, 0.4, 0.4)
    toast = smoothstep(0.2 * width, width, np.abs(f.v))
    hull = capsule(f, 1.0, width) + wobble
    scene.paint(f, hull, crust(scene, f, toast, base), round_=width, shadow=0.28, gloss=0.12)
    if fill:
        cut = capsule(f, 0.97, width * 0.72) + wobble
        pale = np.asarray(scene.jitter(CRUMB, 0.04), np.float32)
        crumb = pale * (1 + 0.07 * scene.grain(f, 1.5, 1.5))[..., None]
        valley = 0.25 * np.minimum(np.abs(f.v), width)
        scene.paint(f, cut, crumb, height=valley, bump=0.006 * scene.grain(f, 1.5, 1.5), edge=0.1)


def bun_lobe(
    scene: Scene, f: Frame, width: float, side: int, radius: float, base: Colour, seeded: bool
) -> None:
    """Paint one of the two halves of a split bun, on the side ``side`` (-1 or 1) of ``u``."""
    centre = side * (width - radius)
    lobe = f.at(0, centre)
    shape = capsule(lobe, scene.uniform(0.94, 0.99), radius) + 0.028 * scene.swell(f, 0.45, 0.45)
    outward = lobe.v * side / radius
    colour = crust(scene, f, smoothstep(-1.0, 1.1, outward), base)
    cut = smoothstep(-0.55, -0.9, outward)
    colour = mix(colour, scene.jitter(CRUMB, 0.04), cut)
    bump = 0.02 * scene.swell(f, 0.6, 0.6) + 0.0025 * scene.grain(f, 1.0, 1.0)
    scene.paint(lobe, shape, colour, round_=radius, bump=bump, gloss=0.16, shine=10, shadow=0.07)
    if seeded:
        seeds(scene, lobe, 0.85, radius * 0.7, scene.integer(8, 18))


def hot_dog(scene: Scene, f: Frame) -> None:
    """Paint a hot dog, sometimes two next to each other."""
    if not scene.chance(0.10):
        one_hot_dog(scene, f)
        return
    for v in (-0.44, 0.44):
        at = f.at(scene.uniform(-0.12, 0.12), v, scene.uniform(-0.12, 0.12), 0.9)
        one_hot_dog(scene, at)


def one_hot_dog(scene: Scene, f: Frame) -> None:
    """Paint a hot dog: a sausage lying lengthwise in a split bun of half length 1."""
    f = f.bent(scene.uniform(-0.55, 0.55) if scene.chance(0.6) else 0.0)
    width = scene.uniform(0.38, 0.46)
    base = scene.pick(CRUSTS)
    seeded = scene.chance(0.15)
    lean = scene.uniform(-0.11, 0.11)  # how far the open side is turned away from the camera
    bun_bottom(scene, f, width, base)
    if scene.chance(0.18):
        leaf(scene, f.at(0, lean * width), 0.98, width * scene.uniform(0.6, 0.95))
    thickness = width * scene.uniform(0.44, 0.54)
    length = scene.uniform(0.88, 1.2)
    meat = f.at(scene.uniform(-0.05, 0.05), lean * 1.6 * width, scene.uniform(-0.03, 0.03))
    under = scene.chance(0.15)
    if under:
        bits(scene, meat, 0.85, width * 0.6, scene.pick(["kraut", "onion", "relish"]), 24)
    sausage(scene, meat, length, thickness)
    overlap = scene.uniform(0.62, 0.95)
    near = (width * (1 - lean * 1.6) - thickness * overlap) / 2
    far = (width * (1 + lean * 1.6) - thickness * overlap) / 2
    sides = [(-1, far), (1, near)]
    if scene.chance(0.5):
        sides.reverse()
    for side, radius in sides:
        bun_lobe(scene, f, width, side, max(radius, 0.05), base, seeded)
    spread = thickness * scene.uniform(0.35, 0.95)
    reach = min(length, 1.0) * scene.uniform(0.75, 0.95)
    for _ in range(scene.pick([0, 1, 1, 1, 1, 1, 1, 1, 2])):
        squirt(scene, meat, reach, spread)
    if scene.chance(0.22):
        kind = scene.pick(["onion", "relish", "kraut", "chilli", "pickle", "crumbs"])
        count = 6 if kind == "pickle" else scene.integer(14, 34)
        bits(scene, meat, reach * 0.9, thickness * 0.9, kind, count)
