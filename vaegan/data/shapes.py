"""The set `open_shapes`: coloured, anti-aliased shapes, each a function of its number and drawn at any size."""

import colorsys
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from .dataset import Source, SplitIndices, UInt8Image
from .embedded import draw_uniforms

Plane = NDArray[np.float64]

SHAPE_CLASSES = ("circle", "ring", "square", "triangle", "star", "cross")
"""The classes."""
LUMINANCE = np.array([0.299, 0.587, 0.114])
"""ITU-R 601, as Pillow's "L"."""
DRAWING_VERSION = b"shapes 1"
"""To be raised when any image changes."""


@dataclass(frozen=True)
class ShapeReader:
    """Images of one shape on a background that shades from one colour into another."""

    size: int
    channels: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __call__(self, index: int) -> UInt8Image:
        """Image ``index``, shape (C, S, S)."""
        draw = draw_uniforms("shapes", index)
        x, y = _grid(self.size)
        angle = 2 * math.pi * draw[0]
        shade = 0.5 + 0.35 * (math.cos(angle) * x + math.sin(angle) * y)
        hue, dark = draw[1], draw[2] < 0.5
        saturation, value = (0.5, 0.2) if dark else (0.35, 0.97)
        near, far = _colour(hue, saturation, 0.8 * value), _colour(hue + 0.12, saturation, value)
        image = near[:, None, None] * (1 - shade) + far[:, None, None] * shade
        paint = _contrasting(_colour(hue + 0.25 + 0.5 * draw[3], 0.75 + 0.25 * draw[4], 0.9), dark)
        light = 1.08 - 0.16 * (y + 1) / 2
        coverage = self._coverage(index, x, y)
        image = image * (1 - coverage) + np.minimum(paint[:, None, None] * light, 1) * coverage
        if self.channels == 1:
            image = np.tensordot(LUMINANCE, image, 1)[None]
        return np.rint(255 * image).astype(np.uint8)

    def _coverage(self, index: int, x: Plane, y: Plane) -> Plane:
        """How much of each pixel the shape covers, 0 to 1, from its signed distance to the outline."""
        radius, turn, across, down = draw_uniforms("shapes", index)[5:9]
        radius = 0.4 + 0.35 * radius
        reach = 0.95 - radius
        x, y = x - reach * (2 * across - 1), y - reach * (2 * down - 1)
        cos, sin = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
        x, y = cos * x + sin * y, cos * y - sin * x
        distance = _distance(SHAPE_CLASSES[index % len(SHAPE_CLASSES)], x, y, radius)
        coverage: Plane = np.clip(0.5 - distance * self.size / 2, 0, 1)
        return coverage

    def check(self, index: int) -> None:
        """Nothing can be wrong with a drawing."""

    def digest(self) -> bytes:
        """The version of the drawing."""
        return DRAWING_VERSION


def open_shapes(size: int, channels: int, parts: SplitIndices) -> Source:
    """Shapes of each kind in turn; the kind is the label."""
    count = len(parts.train) + len(parts.validation) + len(parts.test)
    return Source(
        decoder=ShapeReader(size, channels, count),
        classes=SHAPE_CLASSES,
        labels=torch.arange(count) % len(SHAPE_CLASSES),
        parts=parts,
    )


@lru_cache(maxsize=2)
def _grid(size: int) -> tuple[Plane, Plane]:
    """Coordinates of the pixels' centres, x to the right and y down, the image spanning -1 to 1."""
    axis = (2 * np.arange(size) + 1) / size - 1
    return axis[None, :], axis[:, None]


def _colour(hue: float, saturation: float, value: float) -> Plane:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))


def _contrasting(paint: Plane, dark: bool) -> Plane:
    """A colour that stands out in grey too: of luminance 0.5 or more on dark ground, at most 0.32 on light."""
    luminance = float(LUMINANCE @ paint)
    if dark:
        white = max(0.0, (0.5 - luminance) / (1 - luminance))
        return paint * (1 - white) + white
    return paint * min(1.0, 0.32 / luminance)


def _distance(kind: str, x: Plane, y: Plane, radius: float) -> Plane:
    """Signed distance to a shape's outline, negative inside; beyond corners an underestimate."""
    match kind:
        case "circle":
            return np.hypot(x, y) - 0.9 * radius
        case "ring":
            return np.abs(np.hypot(x, y) - 0.72 * radius) - 0.2 * radius
        case "cross":
            x, y = np.abs(x), np.abs(y)
            arm = 0.3 * radius
            return np.minimum(np.maximum(x - radius, y - arm), np.maximum(y - radius, x - arm))
        case "square":
            return _star(x, y, 4, radius, math.cos(math.pi / 4))
        case "triangle":
            return _star(x, y, 3, radius, math.cos(math.pi / 3))
        case _:
            return _star(x, y, 5, radius, 0.45)


def _star(x: Plane, y: Plane, points: int, radius: float, waist: float) -> Plane:
    """A star folded into half of one of its points, whose edge is a straight line.

    A waist (inner over outer radius) of cos(pi / points) makes it a regular polygon.
    """
    half = math.pi / points
    angle = np.abs(np.mod(np.arctan2(y, x) + half, 2 * half) - half)
    length = np.hypot(x, y)
    across, up = waist * math.cos(half) - 1, waist * math.sin(half)
    norm = math.hypot(across, up)
    distance: Plane = ((length * np.cos(angle) - radius) * up - length * np.sin(angle) * across) / norm
    return distance
