"""A small software renderer: shapes are signed distances, lit as if they were inflated.

Everything is computed on one float canvas, larger than the picture (see ``SUPERSAMPLE``), with
coordinates from -1 to 1. A shape is a *signed distance* array (negative inside). The distance gives
a height, the height gives a normal, and the normal gives light, highlight and shadow. One method
(:meth:`Scene.paint`) therefore renders bread, glass and paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Array = NDArray[np.floating[Any]]
Colour = tuple[float, float, float]

SIZE = 128
SUPERSAMPLE = 4
_TILE = 512
T = TypeVar("T")


@dataclass(frozen=True)
class Frame:
    """Local coordinates of an object: ``u`` along it, ``v`` across it.

    Attributes:
        u: Coordinate along the object, in local units, for every canvas pixel.
        v: Coordinate across the object.
        scale: Scene units per local unit.
    """

    u: Array
    v: Array
    scale: float

    def at(self, u: float, v: float, angle: float = 0.0, scale: float = 1.0) -> Frame:
        """Return a child frame at ``(u, v)`` of this frame, rotated and scaled."""
        du, dv = self.u - np.float32(u), self.v - np.float32(v)
        cos, sin = np.float32(math.cos(angle) / scale), np.float32(math.sin(angle) / scale)
        return Frame(du * cos + dv * sin, dv * cos - du * sin, self.scale * scale)

    def bent(self, curvature: float) -> Frame:
        """Return the frame bent so that the ``u`` axis becomes an arc of that curvature."""
        if abs(curvature) < 1e-3:
            return self
        radius = np.float32(1.0 / abs(curvature))
        side = np.float32(math.copysign(1.0, curvature))
        from_centre = radius - side * self.v
        v = side * (radius - np.hypot(self.u, from_centre))
        u = np.arctan2(self.u, from_centre) * radius
        return Frame(u.astype(np.float32), v.astype(np.float32), self.scale)


def smoothstep(low: float, high: float, x: Array) -> Array:
    """Return 0 below ``low``, 1 above ``high`` and a smooth ramp between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


def mix(a: Colour | Array, b: Colour | Array, t: Array | float) -> Array:
    """Blend two colours (or colour images) by ``t``, a number or one number per pixel."""
    weight = np.asarray(t, np.float32)
    if weight.ndim == 2:
        weight = weight[..., None]
    first, second = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return (first * (1 - weight) + second * weight).astype(np.float32)


def capsule(f: Frame, half_length: float, radius: float) -> Array:
    """Return the distance to a segment along ``u``; ``half_length`` includes its round ends."""
    along = np.maximum(np.abs(f.u) - max(half_length - radius, 0.0), 0.0)
    return (np.hypot(along, f.v) - radius).astype(np.float32)


def disc(f: Frame, radius: float) -> Array:
    """Return the distance to a disc."""
    return (np.hypot(f.u, f.v) - radius).astype(np.float32)


def ellipse(f: Frame, a: float, b: float) -> Array:
    """Return the approximate distance to an ellipse with half axes ``a`` and ``b``."""
    return ((np.hypot(f.u / a, f.v / b) - 1.0) * min(a, b)).astype(np.float32)


def box(f: Frame, a: float, b: float, corner: float = 0.03) -> Array:
    """Return the distance to a rectangle of half sides ``a`` and ``b`` with rounded corners."""
    du, dv = np.abs(f.u) - (a - corner), np.abs(f.v) - (b - corner)
    outside = np.hypot(np.maximum(du, 0.0), np.maximum(dv, 0.0))
    return (outside + np.minimum(np.maximum(du, dv), 0.0) - corner).astype(np.float32)


def ring(f: Frame, radius: float, thickness: float) -> Array:
    """Return the distance to a ring of the given half thickness."""
    return (np.abs(np.hypot(f.u, f.v) - radius) - thickness).astype(np.float32)


def petals(f: Frame, radius: float, count: int, depth: float, phase: float = 0.0) -> Array:
    """Return the approximate distance to a disc whose edge has ``count`` waves."""
    theta = np.arctan2(f.v, f.u)
    edge = radius * (1.0 + depth * np.cos(count * theta + phase))
    return (np.hypot(f.u, f.v) - edge).astype(np.float32)


def dome(sdf: Array, radius: float) -> Array:
    """Return the height of a solid whose edge is rounded with ``radius``."""
    inside = np.clip(-sdf / radius, 0.0, 1.0)
    return (radius * np.sqrt(np.maximum(1.0 - (1.0 - inside) ** 2, 0.0))).astype(np.float32)


def tapered(f: Frame, half_length: float, radius: Array) -> tuple[Array, Array]:
    """Return the distance to, and the height of, a tube whose radius changes along ``u``."""
    sdf = np.maximum(np.abs(f.v) - radius, np.abs(f.u) - half_length).astype(np.float32)
    height = np.sqrt(np.maximum(radius**2 - f.v**2, 0)).astype(np.float32)
    return sdf, height


def union(*shapes: Array) -> Array:
    """Return the distance to the union of shapes."""
    result = shapes[0]
    for shape in shapes[1:]:
        result = np.minimum(result, shape)
    return result


class Scene:
    """A canvas with one light and one camera tilt, and the random numbers of one picture.

    Args:
        seed: The seed of the picture. ``RandomState`` is used because its stream is frozen
            between numpy versions, unlike that of ``default_rng``.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.RandomState(seed)
        self.n = SIZE * SUPERSAMPLE
        axis = ((np.arange(self.n) + 0.5) / self.n * 2 - 1).astype(np.float32)
        self.x, self.y = (a.astype(np.float32) for a in np.meshgrid(axis, axis))
        self.rgb: Array = np.full((self.n, self.n, 3), 0.5, np.float32)
        azimuth, elevation = self.uniform(0, 2 * math.pi), self.uniform(0.6, 1.15)
        self.light = (
            math.cos(azimuth) * math.cos(elevation),
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
        )
        self.ambient = self.uniform(0.42, 0.66)
        self.shadow_strength = self.uniform(0.35, 0.7)
        self.tilt = self.uniform(0.68, 1.0)
        self._rough = self._fractal_tile(1.35)
        self._smooth = self._fractal_tile(2.3)

    # Random numbers -------------------------------------------------------------------------

    def uniform(self, low: float, high: float) -> float:
        """Return a number between ``low`` and ``high``."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return bool(self.rng.random_sample() < probability)

    def integer(self, low: int, high: int) -> int:
        """Return an integer from ``low`` to ``high``, both included."""
        return int(self.rng.randint(low, high + 1))

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[int(self.rng.randint(len(options)))]

    def jitter(self, colour: Colour, amount: float = 0.06) -> Colour:
        """Return the colour with small random changes of its brightness and channels."""
        common = self.uniform(-amount, amount)
        moved = [
            min(max(c + common + self.uniform(-amount, amount) / 2, 0.02), 1.0) for c in colour
        ]
        return (moved[0], moved[1], moved[2])

    # Textures -------------------------------------------------------------------------------

    def _fractal_tile(self, exponent: float) -> Array:
        """Return a periodic tile of fractal noise, zero mean, roughly within -1 to 1."""
        white = np.fft.rfft2(self.rng.standard_normal((_TILE, _TILE)))
        fy = np.fft.fftfreq(_TILE)[:, None] * _TILE
        fx = np.fft.rfftfreq(_TILE)[None, :] * _TILE
        radius = np.hypot(fx, fy)
        radius[0, 0] = 1.0
        gain = np.where(radius < 3.0, 3.0, radius) ** -exponent
        gain[0, 0] = 0.0
        tile = np.fft.irfft2(white * gain, s=(_TILE, _TILE))
        return (tile / (2.2 * tile.std())).astype(np.float32)

    def _lookup(self, tile: Array, f: Frame, along: float, across: float) -> Array:
        i = ((f.u * along + self.uniform(0, 1)) * _TILE).astype(np.int32) & (_TILE - 1)
        j = ((f.v * across + self.uniform(0, 1)) * _TILE).astype(np.int32) & (_TILE - 1)
        return tile[j, i]

    def grain(self, f: Frame, along: float, across: float) -> Array:
        """Return grainy noise in a frame; ``along`` and ``across`` are repeats per local unit."""
        return self._lookup(self._rough, f, along, across)

    def swell(self, f: Frame, along: float, across: float) -> Array:
        """Return smooth noise for outlines and reliefs; the arguments are as in ``grain``."""
        return self._lookup(self._smooth, f, along, across)

    # Placement ------------------------------------------------------------------------------

    def frame(
        self, x: float = 0.0, y: float = 0.0, angle: float = 0.0, scale: float = 1.0
    ) -> Frame:
        """Return a frame lying on the table (foreshortened by the camera tilt)."""
        return Frame(self.x - np.float32(x), (self.y - np.float32(y)) / self.tilt, 1.0).at(
            0, 0, angle, scale
        )

    def upright(
        self, x: float = 0.0, y: float = 0.0, angle: float = 0.0, scale: float = 1.0
    ) -> Frame:
        """Return a frame facing the camera (not foreshortened)."""
        return Frame(self.x - np.float32(x), self.y - np.float32(y), 1.0).at(0, 0, angle, scale)

    # Painting -------------------------------------------------------------------------------

    def _blur(self, mask: Array, radius: float) -> Array:
        """Apply a Gaussian blur to a mask in 0..1; the radius is in scene units."""
        image = Image.fromarray((np.clip(mask, 0, 1) * 255).astype(np.uint8))
        blurred = image.filter(ImageFilter.GaussianBlur(radius * self.n / 2))
        return np.asarray(blurred, np.float32) / 255

    def cast_shadow(self, f: Frame, sdf: Array, height: float, strength: float = 1.0) -> None:
        """Darken the canvas around a shape that is ``height`` scene units high."""
        pixel = 2.0 / self.n
        mask = np.clip(0.5 - sdf * f.scale / pixel, 0, 1)
        lx, ly, lz = self.light
        dx, dy = (round(-c / lz * height * 0.7 / pixel) for c in (lx, ly))
        pad = int(abs(dx) + abs(dy) + 4)
        padded = np.pad(mask, pad, mode="edge")
        n = self.n
        moved = padded[pad - dy : pad - dy + n, pad - dx : pad - dx + n]
        dark = 0.62 * self._blur(moved, height * 0.35) + 0.38 * self._blur(mask, height * 0.18)
        self.rgb *= (1 - strength * self.shadow_strength * dark)[..., None]

    def paint(
        self,
        f: Frame,
        sdf: Array,
        colour: Colour | Array,
        *,
        round_: float = 0.08,
        height: Array | None = None,
        bump: Array | None = None,
        gloss: float = 0.1,
        shine: float = 18.0,
        shadow: float = 0.0,
        opacity: Array | float = 1.0,
        edge: float = 0.25,
    ) -> None:
        """Paint one shape.

        Args:
            f: The frame in which the distance was computed.
            sdf: The signed distance in local units.
            colour: One colour, or one colour per pixel.
            round_: The radius of the rounded edge in local units, if ``height`` is not given.
            height: The relief of the shape in local units.
            bump: A relief added to the height, in local units.
            gloss: The strength of the highlight.
            shine: The sharpness of the highlight.
            shadow: The height of the shape above its background, in local units; 0 for no shadow.
            opacity: The opacity from 0 to 1, one number or one per pixel.
            edge: How much the border is darkened (ambient occlusion).
        """
        pixel = 2.0 / self.n
        reach = sdf * f.scale < 2 * pixel
        rows, columns = np.flatnonzero(reach.any(1)), np.flatnonzero(reach.any(0))
        if not len(rows):
            return
        if shadow > 0:
            self.cast_shadow(f, sdf, shadow * f.scale)
        crop = np.s_[max(rows[0] - 2, 0) : rows[-1] + 3, max(columns[0] - 2, 0) : columns[-1] + 3]
        if min(reach[crop].shape) < 3:
            return
        distance = sdf[crop] * np.float32(f.scale)
        relief = dome(sdf[crop], round_) if height is None else height[crop]
        if bump is not None:
            relief = relief + bump[crop]
        gy, gx = np.gradient(relief * np.float32(f.scale / pixel))
        norm = 1.0 / np.sqrt(1.0 + gx * gx + gy * gy)
        lx, ly, lz = self.light
        facing = np.maximum((-gx * lx - gy * ly + lz) * norm, 0.0)
        # The camera looks straight down, so the half vector is the light leaned towards it.
        half = np.array([lx, ly, lz + 1.0]) / math.sqrt(lx * lx + ly * ly + (lz + 1.0) ** 2)
        mirror = np.maximum((-gx * half[0] - gy * half[1] + half[2]) * norm, 0.0) ** shine
        shade = self.ambient + (1 - self.ambient) * np.minimum(facing / lz, 1.35)
        shade = shade * (1 - edge * np.exp(np.minimum(distance, 0.0) / 0.022))
        base = np.asarray(colour, np.float32)
        if base.ndim == 3:
            base = base[crop]
        lit = base * shade[..., None] + (gloss * mirror)[..., None]
        alpha = np.clip(0.5 - distance / pixel, 0.0, 1.0)
        alpha = alpha * (opacity[crop] if isinstance(opacity, np.ndarray) else opacity)
        self.rgb[crop] += (np.clip(lit, 0, 1) - self.rgb[crop]) * alpha[..., None]
