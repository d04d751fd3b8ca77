"""Backgrounds (tables, cloths, grass) and supports (plates, trays, boards, napkins)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tools.draw_demo.painter import Array, Colour, Frame, Scene, box, ellipse, mix, ring, smoothstep

WOODS: list[Colour] = [
    (0.55, 0.36, 0.20), (0.70, 0.52, 0.33), (0.36, 0.23, 0.15), (0.62, 0.30, 0.17),
    (0.80, 0.68, 0.52), (0.45, 0.40, 0.36), (0.24, 0.18, 0.15),
]  # fmt: skip
CLOTHS: list[Colour] = [
    (0.78, 0.12, 0.12), (0.16, 0.30, 0.62), (0.20, 0.48, 0.26), (0.90, 0.70, 0.18),
    (0.35, 0.35, 0.40), (0.80, 0.42, 0.50), (0.85, 0.45, 0.15), (0.25, 0.55, 0.60),
]  # fmt: skip
BRIGHT: list[Colour] = [
    (0.78, 0.12, 0.10), (0.93, 0.73, 0.12), (0.70, 0.42, 0.20), (0.85, 0.45, 0.12),
    (0.20, 0.36, 0.62), (0.25, 0.50, 0.28), (0.55, 0.22, 0.16),
]  # fmt: skip
WALLS: list[Colour] = [
    (0.88, 0.86, 0.82), (0.16, 0.16, 0.18), (0.30, 0.42, 0.52), (0.78, 0.22, 0.18),
    (0.92, 0.76, 0.30), (0.45, 0.56, 0.40), (0.55, 0.34, 0.24), (0.62, 0.62, 0.64),
    (0.86, 0.66, 0.52), (0.12, 0.22, 0.34), (0.74, 0.55, 0.36), (0.40, 0.14, 0.14),
]  # fmt: skip


def _fill(scene: Scene, rgb: Array) -> None:
    """Fill the canvas, with light that falls off slowly across the table."""
    lx, ly, _ = scene.light
    fall = 1 + 0.22 * (scene.x * lx + scene.y * ly)
    scene.rgb[:] = np.clip(rgb * fall[..., None], 0, 1)


def _turned(scene: Scene) -> Frame:
    return scene.frame(scene.uniform(-1, 1), scene.uniform(-1, 1), scene.uniform(0, math.pi), 1.0)


def _wood(scene: Scene) -> None:
    f = _turned(scene)
    width = scene.uniform(0.3, 0.8)
    plank = np.floor(f.v / width)
    tone = np.sin(plank * 12.9898 + scene.uniform(0, 9)) * 0.10
    fibre = scene.grain(f, 0.12, 1.6) + 0.6 * scene.grain(f, 0.3, 3.5)
    base = scene.jitter(scene.pick(WOODS), 0.08)
    rgb = np.asarray(base, np.float32) * (1 + tone + 0.16 * fibre)[..., None]
    gap = np.abs(f.v / width - np.round(f.v / width)) * width
    _fill(scene, rgb * (1 - 0.6 * np.exp(-((gap / 0.012) ** 2)))[..., None])


def _checks(scene: Scene) -> None:
    f = _turned(scene)
    period = scene.uniform(0.16, 0.5)
    wave = 0.03 * scene.swell(f, 0.3, 0.3)
    a = smoothstep(-0.06, 0.06, np.sin((f.u + wave) * math.pi / period).astype(np.float32))
    b = smoothstep(-0.06, 0.06, np.sin((f.v - wave) * math.pi / period).astype(np.float32))
    if scene.chance(0.25):  # only stripes
        b = np.zeros_like(b)
    pale = scene.pick([(0.93, 0.91, 0.87), (0.93, 0.91, 0.87), (0.85, 0.80, 0.70)])
    weave = 0.05 * np.sin(f.u * 260) * np.sin(f.v * 260) + 0.06 * scene.grain(f, 0.5, 0.5)
    rgb = mix(pale, scene.jitter(scene.pick(CLOTHS)), (a + b) / 2)
    _fill(scene, rgb * (1 + weave)[..., None])


def _grass(scene: Scene) -> None:
    f = _turned(scene)
    base = scene.pick([(0.30, 0.45, 0.16), (0.22, 0.38, 0.16), (0.45, 0.48, 0.20)])
    rgb = np.asarray(scene.jitter(base), np.float32) * np.ones_like(scene.rgb)
    lean = scene.uniform(0, math.pi)
    for _ in range(6):
        blade = scene.frame(angle=lean + scene.uniform(-0.5, 0.5))
        light = np.maximum(scene.grain(blade, 0.6, 5.0), -0.4)
        rgb = rgb * (1 + 0.20 * light)[..., None]
        rgb[..., 0] += 0.025 * light
    rgb = rgb * (1 + 0.15 * scene.swell(f, 0.4, 0.4))[..., None]
    _fill(scene, rgb)


def _plain(scene: Scene) -> None:
    f = _turned(scene)
    a = scene.jitter(scene.pick(WALLS), 0.1)
    b = scene.jitter(a, 0.15)
    speck = scene.uniform(0.0, 0.07)
    t = smoothstep(-1.2, 1.2, f.u)
    _fill(scene, mix(a, b, t) * (1 + speck * scene.grain(f, 0.6, 0.6))[..., None])


def _stone(scene: Scene) -> None:
    f = _turned(scene)
    base = scene.jitter(
        scene.pick([(0.22, 0.23, 0.25), (0.72, 0.70, 0.68), (0.48, 0.44, 0.40), (0.86, 0.85, 0.84)])
    )
    rgb = np.asarray(base, np.float32) * (1 + 0.15 * scene.grain(f, 0.5, 0.5))[..., None]
    vein = np.exp(-((scene.grain(f, 0.2, 0.3) / 0.05) ** 2))
    rgb = mix(rgb, scene.jitter((0.6, 0.57, 0.52), 0.2), 0.4 * vein)
    _fill(scene, rgb * (1 + 0.10 * scene.grain(f, 4.0, 4.0))[..., None])


def _room(scene: Scene) -> None:
    """Paint a table edge with an out-of-focus room behind it: round lights and soft blocks."""
    _plain(scene) if scene.chance(0.5) else _wood(scene)
    horizon = scene.uniform(-0.55, -0.15)
    far: Array = np.asarray(scene.jitter(scene.pick(WALLS), 0.12), np.float32) * np.ones_like(
        scene.rgb
    )
    for _ in range(scene.integer(4, 9)):
        blob = scene.upright(scene.uniform(-1, 1), scene.uniform(-1.1, horizon))
        colour = scene.jitter(scene.pick(WALLS + CLOTHS), 0.15)
        size = scene.uniform(0.08, 0.4)
        weight = smoothstep(0.05, -0.05, ellipse(blob, size, size * scene.uniform(0.6, 1.6)))
        far = mix(far, colour, 0.55 * weight)
    edge = scene.upright(0, horizon, scene.uniform(-0.08, 0.08))
    scene.rgb[:] = mix(scene.rgb, far, smoothstep(0.02, -0.02, edge.v))


BACKGROUNDS: list[Callable[[Scene], None]] = [
    _wood, _wood, _wood, _checks, _grass, _plain, _plain, _plain, _stone, _stone, _room,
]  # fmt: skip

CHINA: list[Colour] = [
    (0.93, 0.92, 0.90), (0.95, 0.94, 0.90), (0.30, 0.42, 0.58), (0.75, 0.24, 0.18),
    (0.20, 0.20, 0.22), (0.85, 0.72, 0.45), (0.55, 0.65, 0.60),
]  # fmt: skip


def plate(scene: Scene, f: Frame) -> None:
    """Paint a plate of radius 1 (local units)."""
    colour = scene.jitter(scene.pick(CHINA), 0.03)
    squeeze = scene.pick([1.0, 1.0, 0.75])
    oval = Frame(f.u, f.v / squeeze, f.scale)
    outer = ellipse(f, 1.0, squeeze)
    scene.paint(f, outer, colour, round_=0.1, gloss=0.12, shadow=0.10, edge=0.12)
    inner = scene.uniform(0.62, 0.76)
    well = ellipse(f, inner, inner * squeeze)
    scene.paint(f, well, mix(colour, (0, 0, 0), 0.05), height=-0.04 * smoothstep(0, -0.1, well))
    if scene.chance(0.4):
        band = ring(oval, scene.uniform(0.84, 0.93), 0.02)
        scene.paint(f, band, scene.jitter(scene.pick(CLOTHS)), height=0 * band, edge=0, opacity=0.8)


def tray(scene: Scene, f: Frame) -> None:
    """Paint a paper tray with a folded rim, about 1 by 0.55."""
    a, b = 1.05, scene.uniform(0.45, 0.62)
    kind = scene.integer(0, 2)
    base = scene.pick([(0.90, 0.88, 0.84), (0.72, 0.56, 0.38), (0.86, 0.80, 0.70)])
    colour: Colour | Array = base
    if kind == 1:
        cells = np.sin(f.u * 16) * np.sin(f.v * 16)
        colour = mix(base, scene.pick(CLOTHS), smoothstep(-0.1, 0.1, cells.astype(np.float32)))
    elif kind == 2:
        stripes = smoothstep(-0.1, 0.1, np.sin(f.u * 14).astype(np.float32))
        colour = mix(base, scene.pick(CLOTHS), stripes)
    outer = box(f, a, b, 0.1)
    crease = 0.012 * scene.swell(f, 0.6, 0.6)
    scene.paint(f, outer, colour, round_=0.08, shadow=0.14, bump=crease, gloss=0.04)
    inner = box(f, a - 0.10, b - 0.10, 0.08)
    floor = mix(base, (0, 0, 0), 0.16)
    scene.paint(f, inner, floor, height=-0.05 * smoothstep(0, -0.12, inner), bump=crease, gloss=0)


def napkin(scene: Scene, f: Frame) -> None:
    """Paint a crumpled napkin or a sheet of paper, about 1 by 0.9."""
    wobble = 0.05 * scene.swell(f, 0.3, 0.3)
    sheet = box(f, 0.95, scene.uniform(0.6, 0.95), 0.03) + wobble
    base = scene.pick([(0.94, 0.93, 0.90), (0.90, 0.88, 0.80), (0.75, 0.62, 0.45)])
    colour: Colour | Array = base
    if scene.chance(0.45):
        period = scene.uniform(8, 18)
        lines = np.maximum(np.sin(f.u * period), np.sin(f.v * period)).astype(np.float32)
        colour = mix(base, scene.pick(CLOTHS), 0.8 * smoothstep(0.75, 0.9, lines))
    fold = 0.10 * np.abs(scene.swell(f, 0.5, 0.5)) + 0.001 * scene.grain(f, 1.0, 1.0)
    scene.paint(f, sheet, colour, round_=0.02, bump=fold, gloss=0.0, shadow=0.05, edge=0.1)


def board(scene: Scene, f: Frame) -> None:
    """Paint a cutting board, about 1 by 0.7."""
    shape = box(f, 1.05, scene.uniform(0.55, 0.8), scene.uniform(0.05, 0.2))
    fibre = scene.grain(f, 0.1, 1.4) + 0.5 * scene.grain(f, 0.3, 4.0)
    wood = np.asarray(scene.jitter(scene.pick(WOODS), 0.08), np.float32)
    scene.paint(f, shape, wood * (1 + 0.14 * fibre)[..., None], round_=0.05, shadow=0.10)


SUPPORTS: list[Callable[[Scene, Frame], None]] = [plate, plate, tray, napkin, board]


def background(scene: Scene) -> None:
    """Cover the canvas with a randomly chosen table, cloth, lawn or room."""
    scene.pick(BACKGROUNDS)(scene)
