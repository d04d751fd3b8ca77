"""Breads of the class `not_hot_dog`: burgers, loaves, rolls without a sausage, pizza and others."""

from __future__ import annotations

import math

import numpy as np

from tools.draw_demo.backgrounds import BRIGHT
from tools.draw_demo.bakes import (
    CRUMB,
    CRUSTS,
    GREENS,
    KETCHUP,
    MAYO,
    MUSTARD,
    bits,
    bun_bottom,
    bun_lobe,
    crust,
    leaf,
    sausage,
    seeds,
    squirt,
)
from tools.draw_demo.painter import (
    Array,
    Colour,
    Frame,
    Scene,
    box,
    capsule,
    disc,
    dome,
    ellipse,
    mix,
    petals,
    ring,
    smoothstep,
    tapered,
)


def burger(scene: Scene, f: Frame) -> None:
    """Paint a hamburger seen from the side or at an angle, with its layers stacked."""
    turn = scene.uniform(-0.35, 0.35)
    squash = scene.uniform(0.45, 0.8)
    x, y = scene.uniform(-0.1, 0.1), scene.uniform(0.0, 0.25)
    g = scene.upright(x, y, turn, f.scale * 0.85)
    base = scene.pick(CRUSTS)
    step = 0.20 * (1.25 - squash)

    def layer(level: float, a: float, shape_noise: float = 0.0) -> tuple[Frame, Array]:
        at = g.at(0, -level * step)
        ruffle = shape_noise * np.sin(np.arctan2(at.v, at.u) * 13) if shape_noise else 0.0
        return at, (ellipse(at, a, a * squash) + ruffle).astype(np.float32)

    at, shape = layer(0, 0.86)
    scene.paint(at, shape, crust(scene, at, 0.4, base), round_=0.25, shadow=0.3)
    order = [("patty", 0.88), ("cheese", 0.8), ("tomato", 0.8), ("lettuce", 0.9)]
    level = 1.0
    for name, size in order:
        if name != "patty" and scene.chance(0.3):
            continue
        if name == "patty":
            at, shape = layer(level, size)
            colour = mix((0.36, 0.20, 0.12), (0.2, 0.1, 0.06), 0.5 + 0.5 * scene.grain(at, 1, 1))
            scene.paint(
                at, shape, colour, round_=0.12, shadow=0.1, bump=0.01 * scene.grain(at, 1, 1)
            )
            level += 1.2
        elif name == "cheese":
            at = g.at(0, -level * step)
            square = Frame(at.u, at.v / squash, at.scale).at(0, 0, scene.uniform(0, 1.5))
            scene.paint(square, box(square, 0.78, 0.78, 0.05), (0.95, 0.70, 0.16), shadow=0.04)
            level += 0.3
        elif name == "tomato":
            at, shape = layer(level, size)
            scene.paint(at, shape, (0.78, 0.16, 0.10), round_=0.08, gloss=0.3, shadow=0.05)
            level += 0.6
        else:
            at, shape = layer(level, size, 0.05)
            scene.paint(at, shape, scene.jitter(scene.pick(GREENS)), round_=0.06, shadow=0.06)
            level += 0.5
    if scene.chance(0.5):
        at, shape = layer(level, 0.8, 0.04)
        sauce = scene.pick([KETCHUP, MUSTARD, MAYO])
        scene.paint(at, shape, sauce, round_=0.05, gloss=0.4)
    at, shape = layer(level + 1.2, 0.86)
    rise = 0.5 * np.sqrt(np.maximum(1 - (at.u / 0.86) ** 2 - (at.v / 0.86 / squash) ** 2, 0))
    toast = rise.astype(np.float32) * 1.6
    scene.paint(
        at, shape, crust(scene, at, toast, base), height=rise.astype(np.float32), gloss=0.25,
        shadow=0.12,
    )  # fmt: skip
    if scene.chance(0.6):
        seeds(scene, at, 0.5, 0.5 * squash, 22)


def baguette(scene: Scene, f: Frame) -> None:
    """Paint one or two whole loaves or rolls with slashes, closed along their length."""
    count = scene.pick([1, 1, 2])
    base = scene.pick(CRUSTS)
    for k in range(count):
        g = f.at(0, (k - (count - 1) / 2) * 0.62, scene.uniform(-0.15, 0.15))
        g = g.bent(scene.uniform(-0.4, 0.4))
        width = scene.uniform(0.22, 0.42)
        radius = width * (1 - 0.45 * np.abs(g.u) ** 2.5)
        shape = capsule(g, 1.05, width) + (width - radius) * 0.6
        shape = (shape + 0.03 * scene.swell(g, 0.4, 0.4)).astype(np.float32)
        slant, period = scene.uniform(0.4, 1.4), scene.uniform(7, 13)
        slashes = smoothstep(0.72, 0.95, np.sin((g.u + slant * g.v) * period).astype(np.float32))
        slashes = slashes * smoothstep(0.0, -0.1, shape)
        if scene.chance(0.3):
            slashes = slashes * 0
        toast = 0.5 + 0.4 * dome(shape, width) / width
        colour = mix(crust(scene, g, toast, base), scene.jitter(CRUMB), 0.75 * slashes)
        bump = 0.03 * slashes + 0.003 * scene.grain(g, 1, 1)
        scene.paint(g, shape, colour, round_=width, bump=bump, gloss=0.15, shadow=0.25)


def open_roll(scene: Scene, f: Frame) -> None:
    """Paint a split bun like a hot dog's, but without a sausage."""
    f = f.bent(scene.uniform(-0.5, 0.5))
    width = scene.uniform(0.34, 0.46)
    base = scene.pick(CRUSTS)
    filling = scene.pick(["none", "none", "sauce", "sub", "ham", "ham"])
    bun_bottom(scene, f, width, base)
    if filling == "sauce":
        squirt(scene, f, 0.8, 0.05)
    if filling in ("sub", "ham"):
        leaf(scene, f, 1.0, width * 0.85)
        for k in range(6):
            slot = f.at(-0.75 + k * 0.3, scene.uniform(-0.05, 0.05), scene.uniform(0, 3))
            if filling == "sub" and k % 2:
                slice_ = disc(slot, scene.uniform(0.16, 0.22))
                colour = scene.jitter((0.80, 0.18, 0.10))
                scene.paint(slot, slice_, colour, round_=0.04, gloss=0.3, shadow=0.05)
                inner = petals(slot, 0.10, 3, 0.3)
                scene.paint(slot, inner, mix(colour, (0.95, 0.6, 0.3), 0.5), height=0 * inner)
            else:
                meat = scene.jitter(scene.pick([(0.88, 0.56, 0.50), (0.95, 0.75, 0.25)]))
                fold = petals(slot, 0.20, 5, 0.12)
                bump = 0.10 * scene.swell(slot, 0.8, 0.8)
                scene.paint(slot, fold, meat, round_=0.05, bump=bump, gloss=0.2, shadow=0.06)
    radius = width * scene.uniform(0.24, 0.36)
    seeded = scene.chance(0.25)
    for side in (-1, 1):
        bun_lobe(scene, f, width, side, radius, base, seeded)


def roll_and_sausage(scene: Scene, f: Frame) -> None:
    """Paint a closed bun and a sausage next to each other."""
    gap = scene.uniform(0.40, 0.52)
    bun = f.at(0, -gap, scene.uniform(-0.3, 0.3)).bent(scene.uniform(-0.3, 0.3))
    width, base = scene.uniform(0.28, 0.36), scene.pick(CRUSTS)
    if scene.chance(0.5):
        toast = 0.4 + 0.3 * np.abs(bun.v) / width
        shape = capsule(bun, 0.95, width) + 0.025 * scene.swell(bun, 0.4, 0.4)
        colour = crust(scene, bun, toast.astype(np.float32), base)
        scene.paint(bun, shape, colour, round_=width, gloss=0.2, shadow=0.25)
    else:
        bun_bottom(scene, bun, width, base)
        for side in (-1, 1):
            bun_lobe(scene, bun, width, side, width * 0.36, base, False)
    meat = f.at(0, gap, scene.uniform(-0.3, 0.3)).bent(scene.uniform(-0.5, 0.5))
    sausage(scene, meat, scene.uniform(0.8, 1.05), scene.uniform(0.15, 0.2), 0.2)
    if scene.chance(0.25):
        squirt(scene, meat, 0.75, 0.1)


def croissant(scene: Scene, f: Frame) -> None:
    """Paint a croissant: a crescent with ridges across."""
    g = f.bent(scene.uniform(0.8, 1.35) * scene.pick([-1, 1]))
    width = scene.uniform(0.34, 0.42)
    ridges = np.abs(np.sin(g.u * scene.uniform(5, 7) + 0.5 * np.abs(g.v)))
    radius = (width * (1 - 0.75 * (g.u / 1.15) ** 2) * (0.88 + 0.12 * ridges)).astype(np.float32)
    sdf, height = tapered(g, 1.1, np.maximum(radius, 0.05))
    toast = (0.25 + 0.6 * ridges).astype(np.float32)
    height = height * (0.85 + 0.15 * ridges)
    colour = crust(scene, g, toast, scene.pick(CRUSTS[:4]))
    scene.paint(g, sdf, colour, height=height.astype(np.float32), gloss=0.3, shadow=0.25)


def sandwich(scene: Scene, f: Frame) -> None:
    """Paint one or two triangular sandwiches with their layers showing on the long side."""
    for k in range(scene.pick([1, 2])):
        g = f.at(0.1, 0.55 * k - 0.15, scene.uniform(-0.2, 0.2), 0.9)
        layers: list[tuple[float, Colour]] = [
            (0.00, scene.pick(CRUSTS)), (0.10, scene.pick(GREENS)), (0.16, (0.85, 0.50, 0.45)),
            (0.22, (0.95, 0.74, 0.22)), (0.28, (0.78, 0.18, 0.12)), (0.34, CRUMB),
        ]  # fmt: skip
        for lift, colour in layers:
            h = Frame(g.u, g.v + lift - 0.2, g.scale)
            wave = 0.03 * scene.swell(h, 0.8, 0.8)
            slab = np.maximum((np.abs(h.u) + h.v) * 0.707 - 0.45, -h.v - 0.35) + wave
            shadow = 0.2 if lift == 0 else 0.03
            tone = np.asarray(scene.jitter(colour, 0.05), np.float32)
            bread = tone * (1 + 0.06 * scene.grain(h, 1, 1))[..., None]
            scene.paint(h, slab.astype(np.float32), bread, round_=0.05, shadow=shadow, edge=0.35)
        top = Frame(g.u, g.v + 0.14, g.scale)
        face = np.maximum((np.abs(top.u) + top.v) * 0.707 - 0.40, -top.v - 0.30)
        toasted = mix(CRUMB, scene.pick(CRUSTS), 0.5 + 0.5 * scene.grain(top, 0.8, 0.8))
        scene.paint(top, face.astype(np.float32), toasted, round_=0.02, edge=0.0)


def pizza(scene: Scene, f: Frame) -> None:
    """Paint a slice of pizza (or two) with pepperoni, herbs and a baked rim."""
    for k in range(scene.pick([1, 1, 2])):
        g = f.at(-0.75 if not k else 0.55, 0.25 * k, 0.15 if not k else 2.8, 0.85)
        reach, angle = np.hypot(g.u, g.v), np.arctan2(g.v, g.u)
        half = scene.uniform(0.30, 0.42)
        sides = (reach * np.sin(np.clip(np.abs(angle) - half, -1.5, 1.5))).astype(np.float32)
        wave = 0.03 * scene.swell(g, 0.5, 0.5)
        slab = np.maximum(sides, reach - 1.75 - wave).astype(np.float32) + wave
        base = scene.jitter((0.93, 0.72, 0.32))
        red = smoothstep(0.1, 0.5, scene.grain(g, 0.7, 0.7))
        colour = mix(base, (0.80, 0.28, 0.12), red)
        scene.paint(g, slab, colour, round_=0.05, shadow=0.1, bump=0.03 * scene.swell(g, 1, 1))
        rim = np.maximum(sides, np.abs(reach - 1.66) - 0.13).astype(np.float32)
        scene.paint(g, rim, crust(scene, g, 0.6), round_=0.13, shadow=0.05)
        for _ in range(scene.integer(3, 6)):
            r, a = scene.uniform(0.55, 1.35), scene.uniform(-half, half) * 0.7
            spot = g.at(r * math.cos(a), r * math.sin(a))
            meat = scene.jitter((0.66, 0.18, 0.12), 0.05)
            disc_ = np.maximum(disc(spot, 0.17), sides).astype(np.float32)
            scene.paint(spot, disc_, meat, round_=0.03, gloss=0.25, shadow=0.03)
        bits(scene, g.at(1.0, 0), 0.5, 0.2, "relish", scene.pick([0, 6]))


def taco(scene: Scene, f: Frame) -> None:
    """Paint tacos: a folded half-round shell with filling along its open edge."""
    count = scene.pick([1, 1, 2])
    for k in range(count):
        g = f.at(0, (k - (count - 1) / 2) * 0.7, scene.uniform(-0.2, 0.2), 0.9)
        shell = scene.jitter(scene.pick([(0.90, 0.68, 0.30), (0.93, 0.82, 0.60)]))
        back = np.maximum(disc(g.at(0, 0.1), 1.0), g.v - 0.25).astype(np.float32)
        scene.paint(g, back, mix(shell, (0.4, 0.2, 0.1), 0.25), round_=0.08, shadow=0.22)
        for _ in range(34):
            a, r = scene.uniform(0.3, math.pi - 0.3), scene.uniform(0.72, 1.0)
            bit = g.at(math.cos(a) * r, 0.12 - math.sin(a) * r, scene.uniform(0, 3))
            colour = scene.pick([*GREENS, (0.45, 0.24, 0.13), (0.80, 0.18, 0.10), MUSTARD])
            piece = petals(bit, 0.12, 4, 0.25)
            scene.paint(bit, piece, scene.jitter(colour), round_=0.05, shadow=0.04, gloss=0.2)
        front = np.maximum(disc(g.at(0, 0.2), 0.95), g.v - 0.27).astype(np.float32)
        spots = smoothstep(0.3, 0.7, scene.grain(g, 0.9, 0.9))
        colour_map = mix(shell, (0.60, 0.36, 0.16), 0.6 * spots)
        scene.paint(g, front, colour_map, round_=0.15, shadow=0.06, gloss=0.1)


def doughnut(scene: Scene, f: Frame) -> None:
    """Paint one to three doughnuts, glazed or plain."""
    spots = scene.pick([[(0.0, 0.0)], [(-0.55, 0.1), (0.55, -0.1)], [(0, -0.5), (-0.5, 0.5)]])
    for u, v in spots:
        g = f.at(u, v, 0, 0.9 if len(spots) == 1 else 0.58)
        body = ring(g, 0.56, 0.36) + 0.02 * scene.swell(g, 0.5, 0.5)
        scene.paint(g, body, crust(scene, g, 0.6), round_=0.36, shadow=0.3)
        if scene.chance(0.8):
            colour = scene.pick(
                [(0.28, 0.14, 0.08), (0.92, 0.55, 0.62), (0.95, 0.90, 0.82), (0.75, 0.15, 0.12)]
            )
            glaze = ring(g, 0.56, 0.27) + 0.07 * scene.swell(g, 0.7, 0.7)
            scene.paint(g, glaze, scene.jitter(colour), round_=0.27, gloss=0.5, shine=30)
            for _ in range(scene.pick([0, 26])):
                a, r = scene.uniform(0, 6.3), scene.uniform(0.4, 0.75)
                bit = g.at(math.cos(a) * r, math.sin(a) * r, scene.uniform(0, 3))
                scene.paint(bit, capsule(bit, 0.07, 0.022), scene.pick(BRIGHT), round_=0.02)


def pretzel(scene: Scene, f: Frame) -> None:
    """Paint a pretzel: a knotted rope of brown dough with salt."""
    base = scene.pick([(0.50, 0.26, 0.12), (0.62, 0.36, 0.17)])
    right = [(0.0, 0.10), (0.30, -0.18), (0.40, -0.62), (0.74, -0.68), (0.95, -0.25), (0.82, 0.35)]
    knot = [(-0.42, 0.62), *right, (0.0, 0.72), *[(-x, y) for x, y in right[::-1]], (0.42, 0.62)]
    t = np.linspace(0, len(knot) - 1, 90)
    kernel = np.ones(9) / 9
    xs, ys = (
        np.convolve(np.pad(np.interp(t, range(len(knot)), axis), 4, mode="edge"), kernel, "valid")
        for axis in zip(*knot, strict=True)
    )
    shape = np.full_like(f.u, 9.0)
    for x0, y0, x1, y1 in zip(xs[:-1], ys[:-1], xs[1:], ys[1:], strict=True):
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((f.u - x0) * dx + (f.v - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        shape = np.minimum(shape, np.hypot(f.u - x0 - along * dx, f.v - y0 - along * dy))
    rope = (shape - 0.13).astype(np.float32)
    scene.paint(f, rope, crust(scene, f, 0.7, base), round_=0.13, gloss=0.35, shadow=0.15)
    for _ in range(40):
        k = scene.integer(4, 84)
        at = f.at(xs[k] + scene.uniform(-0.07, 0.07), ys[k] + scene.uniform(-0.07, 0.07))
        scene.paint(at, box(at, 0.025, 0.02, 0.008), (0.95, 0.94, 0.9), round_=0.02)
