"""Other foods: sausages without bread, vegetables, fruit, fries and eggs."""

from __future__ import annotations

import math

import numpy as np

from tools.draw_demo.backgrounds import BRIGHT
from tools.draw_demo.bakes import GREENS, KETCHUP, MAYO, MUSTARD, sausage, squirt
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
    smoothstep,
    tapered,
)


def sausages(scene: Scene, f: Frame) -> None:
    """Paint one to four sausages without any bread, sometimes with a blob of mustard."""
    count = scene.integer(1, 4)
    curvature = scene.uniform(-0.6, 0.6)
    for k in range(count):
        v = (k - (count - 1) / 2) * 0.42
        g = f.at(scene.uniform(-0.1, 0.1), v, scene.uniform(-0.12, 0.12)).bent(curvature)
        sausage(scene, g, scene.uniform(0.75, 1.0), scene.uniform(0.14, 0.21), 0.2)
        if scene.chance(0.15):
            squirt(scene, g, 0.7, scene.uniform(0.03, 0.14))
    if scene.chance(0.4):
        g = f.at(scene.uniform(-0.6, 0.6), scene.pick([-1, 1]) * (0.3 + 0.21 * count))
        blob = petals(g, 0.22, 5, 0.08)
        scene.paint(g, blob, scene.pick([MUSTARD, KETCHUP]), round_=0.15, gloss=0.5, shadow=0.05)


def bananas(scene: Scene, f: Frame) -> None:
    """Paint one to three bananas."""
    count = scene.integer(1, 3)
    curvature = scene.uniform(0.6, 1.0) * scene.pick([-1, 1])
    base = scene.jitter(scene.pick([(0.93, 0.78, 0.22), (0.85, 0.78, 0.30), (0.90, 0.68, 0.20)]))
    for k in range(count):
        v = (k - (count - 1) / 2) * 0.36
        g = f.at(0, v, 0.08 * k).bent(curvature + 0.1 * k)
        radius = 0.20 * (1 - 0.85 * np.abs(g.u) ** 5) + 0.02
        sdf, height = tapered(g, 1.0, np.maximum(radius, 0.045).astype(np.float32))
        spots = smoothstep(0.45, 0.7, scene.grain(g, 0.6, 0.9)) * 0.5
        tip = smoothstep(0.86, 0.97, np.abs(g.u))
        colour = mix(mix(base, (0.40, 0.25, 0.10), spots), (0.28, 0.18, 0.10), tip)
        facet = 0.25 * np.abs(g.v - 0.04)
        scene.paint(
            g, sdf, colour, height=(height - facet).astype(np.float32), gloss=0.15, shadow=0.2
        )


def carrots(scene: Scene, f: Frame) -> None:
    """Paint one to four carrots, with or without their leaves."""
    count = scene.integer(1, 4)
    for k in range(count):
        v = (k - (count - 1) / 2) * 0.4
        g = f.at(0, v, scene.uniform(-0.2, 0.2)).bent(scene.uniform(-0.25, 0.25))
        if scene.chance(0.7):
            for _ in range(7):
                stalk = g.at(-0.85, 0, scene.uniform(-0.5, 0.5)).at(-0.3, 0)
                green = scene.jitter(scene.pick(GREENS))
                scene.paint(stalk, capsule(stalk, 0.34, 0.03), green, round_=0.03, shadow=0.05)
                tuft = stalk.at(-0.28, 0)
                scene.paint(tuft, petals(tuft, 0.1, 6, 0.35, 0.5), green, round_=0.05)
        radius = np.clip(0.17 * (1 - (g.u + 0.85) / 2.0), 0.01, 0.2)
        radius = radius * np.sqrt(np.clip((g.u + 0.95) / 0.1, 0, 1)) + 0.002
        sdf, height = tapered(g, 0.98, radius.astype(np.float32))
        lines = smoothstep(0.5, 0.9, scene.grain(g, 2.0, 0.15))
        colour = mix(scene.jitter((0.90, 0.46, 0.12)), (0.60, 0.26, 0.08), 0.5 * lines)
        scene.paint(g, sdf, colour, height=height, gloss=0.2, shadow=0.18)


def fries(scene: Scene, f: Frame) -> None:
    """Paint a carton or a pile of fries with ketchup."""
    carton = scene.chance(0.6)
    for _ in range(scene.integer(26, 44)):
        if carton:
            g = f.at(scene.uniform(-0.5, 0.5), scene.uniform(-0.75, -0.1))
            g = g.at(0, 0, math.pi / 2 + scene.uniform(-0.35, 0.35))
        else:
            g = f.at(scene.rng.normal(0, 0.35), scene.rng.normal(0, 0.3), scene.uniform(0, 3.2))
        colour = scene.jitter(scene.pick([(0.94, 0.76, 0.36), (0.86, 0.62, 0.24)]), 0.05)
        stick = box(g, scene.uniform(0.3, 0.45), 0.065, 0.02)
        scene.paint(g, stick, colour, round_=0.04, shadow=0.07, gloss=0.1)
    if carton:
        body = f.at(0, 0.35)
        side = (np.abs(body.u) - 0.62 + 0.22 * body.v) * 0.97
        rim = -body.v - 0.42 + 0.25 * (1 - np.minimum((body.u / 0.6) ** 2, 1))
        shape = np.maximum(np.maximum(side, rim), body.v - 0.55).astype(np.float32)
        colour_map: Colour | Array = scene.jitter(scene.pick(BRIGHT))
        if scene.chance(0.5):
            lines = smoothstep(-0.1, 0.1, np.sin(body.u * 16).astype(np.float32))
            colour_map = mix(colour_map, (0.93, 0.91, 0.88), lines)
        scene.paint(body, shape, colour_map, round_=0.05, shadow=0.15, gloss=0.1)
    elif scene.chance(0.8):
        squirt(scene, f.at(0, 0, scene.uniform(0, 3)), 0.5, 0.25, scene.pick([KETCHUP, MAYO]))


def tomatoes(scene: Scene, f: Frame) -> None:
    """Paint whole and cut tomatoes."""
    for k in range(scene.integer(1, 4)):
        size = scene.uniform(0.32, 0.55)
        g = f.at(-0.7 + 0.55 * k + scene.uniform(-0.1, 0.1), scene.uniform(-0.4, 0.4))
        red = scene.jitter(scene.pick([(0.78, 0.13, 0.08), (0.85, 0.30, 0.10)]))
        shape = petals(g, size, 5, 0.03)
        scene.paint(g, shape, red, round_=size, gloss=0.5, shine=40, shadow=0.3)
        if scene.chance(0.4):
            cut = disc(g, size * 0.88)
            scene.paint(g, cut, mix(red, (0.95, 0.5, 0.3), 0.3), height=0 * cut, gloss=0.2)
            for a in range(3):
                pocket = g.at(0, 0, a * 2.09).at(size * 0.45, 0)
                seed_bed = ellipse(pocket, size * 0.24, size * 0.32)
                scene.paint(pocket, seed_bed, (0.80, 0.52, 0.15), round_=0.05, gloss=0.4)
        else:
            star = petals(g, size * 0.3, 5, 0.6, scene.uniform(0, 6))
            scene.paint(g, star, scene.pick(GREENS), round_=0.04, shadow=0.04)


def corn(scene: Scene, f: Frame) -> None:
    """Paint a grilled corn cob, sometimes in its leaves."""
    g = f.bent(scene.uniform(-0.15, 0.15))
    if scene.chance(0.6):
        for turn in (-0.22, 0.22, 0.0):
            husk = g.at(-0.55, 0, turn)
            sdf, height = tapered(husk, 0.75, (0.30 * np.cos(husk.u * 2.0)).astype(np.float32))
            scene.paint(husk, sdf, scene.jitter((0.62, 0.70, 0.36)), height=height, shadow=0.1)
    radius = 0.27 * np.sqrt(np.clip(1.02 - g.u, 0.02, 1)) * np.clip(1.2 - 0.1 * g.u, 0, 1)
    sdf, height = tapered(g, 0.98, radius.astype(np.float32))
    kernels = np.abs(np.sin(g.u * 26) * np.sin(g.v / 0.27 * 6.5)).astype(np.float32)
    char = smoothstep(0.2, 0.8, scene.grain(g, 0.6, 0.6))
    colour = mix(scene.jitter((0.94, 0.76, 0.22)), (0.30, 0.16, 0.06), 0.6 * char)
    bump = 0.04 * np.sqrt(kernels)
    scene.paint(g, sdf, colour, height=height, bump=bump, gloss=0.25, shadow=0.25)


def egg(scene: Scene, f: Frame) -> None:
    """Paint fried eggs with strips of bacon."""
    for k in range(scene.integer(0, 3)):
        g = f.at(0, 0.35 + 0.2 * k, scene.uniform(-0.3, 0.3))
        wave = np.sin(g.u * 9) * 0.05
        strip = box(Frame(g.u, (g.v + wave).astype(np.float32), g.scale), 0.8, 0.11, 0.04)
        stripes = smoothstep(-0.3, 0.3, np.sin(g.v * 40 + 3 * scene.swell(g, 0.3, 0.3)))
        colour = mix((0.62, 0.20, 0.14), (0.92, 0.70, 0.55), stripes)
        scene.paint(g, strip, colour, round_=0.04, gloss=0.3, shadow=0.08)
    for k in range(scene.integer(1, 2)):
        g = f.at(-0.35 + 0.75 * k, -0.25)
        white = disc(g, 0.48) + 0.16 * scene.swell(g, 0.4, 0.4)
        scene.paint(g, white, (0.95, 0.94, 0.90), round_=0.10, gloss=0.2, shadow=0.08)
        yolk = disc(g.at(0.04, 0), 0.19)
        scene.paint(g, yolk, scene.jitter((0.95, 0.66, 0.10)), round_=0.19, gloss=0.5, shadow=0.05)
