"""Objects that are not food: bottles, toys, books, pencils, cups and pots."""

from __future__ import annotations

import math

import numpy as np

from tools.draw_demo.backgrounds import BRIGHT, CLOTHS
from tools.draw_demo.bakes import KETCHUP, MAYO, MUSTARD, bits, leaf, squirt
from tools.draw_demo.painter import (
    Frame,
    Scene,
    box,
    capsule,
    disc,
    ellipse,
    mix,
    petals,
    smoothstep,
    tapered,
    union,
)


def bottle(scene: Scene, f: Frame) -> None:
    """Paint a squeeze bottle of ketchup or mustard lying on the table."""
    colour = scene.jitter(scene.pick([KETCHUP, MUSTARD, (0.92, 0.88, 0.78), (0.35, 0.16, 0.08)]))
    radius = 0.26
    nozzle = f.at(-0.95, 0)
    sdf, height = tapered(nozzle, 0.22, np.clip(0.10 + 0.25 * nozzle.u, 0.02, 1))
    cap = scene.pick([colour, (0.92, 0.90, 0.86), (0.75, 0.12, 0.10), (0.9, 0.7, 0.1)])
    scene.paint(nozzle, sdf, cap, height=height, gloss=0.4, shadow=0.15)
    body = f.at(0.1, 0)
    shape = box(body, 0.88, radius, 0.14)
    tube = np.sqrt(np.maximum(radius**2 - body.v**2, 0)).astype(np.float32)
    scene.paint(body, shape, colour, height=tube, gloss=0.55, shine=40, shadow=0.3)
    label = np.maximum(box(body.at(0.1, 0), 0.38, 0.3, 0.01), shape)
    paper = scene.pick([(0.93, 0.92, 0.88), *BRIGHT])
    scene.paint(body, label, paper, height=tube, gloss=0.2, edge=0)
    mark = body.at(0.1, 0)
    badge = scene.pick([ellipse(mark, 0.2, 0.12), box(mark, 0.06, 0.2), petals(mark, 0.14, 5, 0.3)])
    scene.paint(body, np.maximum(badge, shape), scene.pick(BRIGHT), height=tube, edge=0)


def bottles(scene: Scene, f: Frame) -> None:
    """Paint one to three squeeze bottles."""
    count = scene.integer(1, 3)
    for k in range(count):
        flip = scene.pick([0.0, math.pi])
        g = f.at(0, (k - (count - 1) / 2) * 0.62, scene.uniform(-0.15, 0.15) + flip, 0.9)
        bottle(scene, g)


def dog_toy(scene: Scene, f: Frame) -> None:
    """Paint a dog's toy: a bone, a ball or a knotted rope."""
    colour = scene.jitter(scene.pick(BRIGHT))
    kind = scene.integer(0, 2)
    if kind == 0:
        ends = [disc(f.at(u, v), 0.24) for u in (-0.75, 0.75) for v in (-0.18, 0.18)]
        shape = union(capsule(f, 0.85, 0.17), *ends)
        scene.paint(f, shape, colour, round_=0.2, gloss=0.4, shadow=0.25)
    elif kind == 1:
        shape = disc(f, 0.55)
        seam = np.abs(np.hypot(f.u - 0.75, f.v) - 0.6) < 0.04
        ball = mix(colour, (0.95, 0.94, 0.9), seam.astype(np.float32))
        scene.paint(f, shape, ball, round_=0.55, gloss=0.3, shadow=0.5)
    else:
        twist = np.abs(np.sin(f.u * 9 + f.v * 5)).astype(np.float32)
        pale = scene.pick([(0.93, 0.9, 0.84), (0.93, 0.73, 0.12)])
        striped = mix(colour, pale, (twist > 0.7).astype(np.float32))
        rope = union(capsule(f, 1.0, 0.11), disc(f.at(-0.7, 0), 0.2), disc(f.at(0.7, 0), 0.2))
        scene.paint(f, rope, striped, round_=0.14, bump=0.04 * twist, shadow=0.2)


def cutlery(scene: Scene, f: Frame, kind: str) -> None:
    """Paint a fork or a knife along ``u``."""
    steel = scene.pick([(0.74, 0.74, 0.76), (0.62, 0.62, 0.64), (0.80, 0.68, 0.40)])
    handle = capsule(f.at(0.35, 0), 0.6, 0.055)
    if kind == "knife":
        blade = ellipse(f.at(-0.6, 0.03), 0.5, 0.10)
        shape = union(handle, blade)
    else:
        head = box(f.at(-0.35, 0), 0.14, 0.13, 0.06)
        tines = [capsule(f.at(-0.65, v), 0.25, 0.022) for v in (-0.1, -0.033, 0.033, 0.1)]
        shape = union(handle, head, *tines)
    scene.paint(f, shape, steel, round_=0.05, gloss=0.6, shine=30, shadow=0.08)


def dishes(scene: Scene, f: Frame) -> None:
    """Paint cutlery and the remains of a meal: smears and crumbs."""
    for k, kind in enumerate(["fork", "knife"]):
        cutlery(scene, f.at(0.1, -0.3 + 0.5 * k, scene.uniform(-0.4, 0.4), 0.85), kind)
    for _ in range(scene.integer(1, 3)):
        g = f.at(scene.uniform(-0.5, 0.5), scene.uniform(-0.5, 0.5), scene.uniform(0, 3), 0.6)
        squirt(scene, g, 0.6, 0.12)
    bits(scene, f, 0.7, 0.6, "crumbs", 18)


def books(scene: Scene, f: Frame) -> None:
    """Paint one to three books in warm colours."""
    for k in range(scene.integer(1, 3)):
        g = f.at(0.08 * k, 0.1 * k - 0.1, scene.uniform(-0.5, 0.5), 0.95 - 0.12 * k)
        a, b = 0.95, scene.uniform(0.55, 0.72)
        pages = g.at(0.03, 0.05)
        scene.paint(pages, box(pages, a, b, 0.02), (0.92, 0.89, 0.80), round_=0.03, shadow=0.2)
        cover = scene.jitter(scene.pick(BRIGHT))
        scene.paint(g, box(g, a, b, 0.03), cover, round_=0.03, gloss=0.1, edge=0.3)
        ink = scene.pick([(0.93, 0.9, 0.82), (0.93, 0.73, 0.12), (0.15, 0.12, 0.12)])
        for line in range(scene.integer(1, 3)):
            bar = g.at(0, -0.3 + 0.2 * line)
            width = scene.uniform(0.3, 0.7)
            scene.paint(bar, box(bar, width, 0.05, 0.02), ink, height=0 * bar.u, edge=0)


def pencils(scene: Scene, f: Frame) -> None:
    """Paint pencils and crayons in red and yellow."""
    count = scene.integer(2, 6)
    for k in range(count):
        v = (k - (count - 1) / 2) * 0.26
        g = f.at(scene.uniform(-0.2, 0.2), v, scene.uniform(-0.25, 0.25))
        flat = np.round(g.v / 0.055)
        tone = 1 - 0.12 * np.abs(flat)
        colour = np.asarray(scene.jitter(scene.pick(BRIGHT)), np.float32) * tone[..., None]
        scene.paint(g, box(g, 0.75, 0.085, 0.01), colour, round_=0.06, gloss=0.3, shadow=0.12)
        tip = g.at(0.88, 0)
        sdf, height = tapered(tip, 0.15, np.clip(0.085 * (0.5 - tip.u / 0.3), 0, 1))
        lead = mix((0.88, 0.70, 0.48), scene.pick(BRIGHT), smoothstep(0.03, 0.06, tip.u))
        scene.paint(tip, sdf, lead, height=height, shadow=0.08)
        end = g.at(-0.78, 0)
        scene.paint(end, box(end, 0.08, 0.085, 0.02), (0.85, 0.45, 0.42), round_=0.06)


def cup(scene: Scene, f: Frame) -> None:
    """Paint a cup seen from above."""
    colour = scene.jitter(scene.pick([*BRIGHT, *CLOTHS, (0.93, 0.92, 0.88)]))
    scene.paint(f, disc(f, 0.6), colour, round_=0.08, shadow=0.5, gloss=0.2)
    drink = scene.pick(
        [(0.30, 0.15, 0.08), (0.85, 0.55, 0.12), (0.88, 0.88, 0.86), (0.5, 0.1, 0.1)]
    )
    inside = disc(f, 0.5)
    scene.paint(f, inside, drink, height=-0.1 * smoothstep(0, -0.1, inside), gloss=0.3)


def leaves(scene: Scene, f: Frame) -> None:
    """Paint a few lettuce or herb leaves."""
    for _ in range(scene.integer(1, 3)):
        g = f.at(scene.uniform(-0.4, 0.4), scene.uniform(-0.4, 0.4), scene.uniform(0, 3))
        leaf(scene, g, scene.uniform(0.4, 0.8), scene.uniform(0.25, 0.4))


def sauce_pot(scene: Scene, f: Frame) -> None:
    """Paint a small bowl of sauce."""
    china = scene.pick([(0.92, 0.91, 0.88), (0.3, 0.3, 0.32), (0.7, 0.5, 0.35)])
    scene.paint(f, disc(f, 0.6), china, round_=0.12, shadow=0.3, gloss=0.3)
    sauce = disc(f, 0.47)
    bump = 0.03 * scene.swell(f, 0.8, 0.8)
    fill = scene.pick([KETCHUP, MUSTARD, MAYO])
    scene.paint(f, sauce, scene.jitter(fill), height=0 * sauce, bump=bump, gloss=0.4)


def fork(scene: Scene, f: Frame) -> None:
    """Paint one piece of cutlery."""
    cutlery(scene, f, scene.pick(["fork", "knife"]))
