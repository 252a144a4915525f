"""The source `shapes`: coloured, anti-aliased shapes, drawn at any size as a function of the image's index."""

import colorsys
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from .dataset import ImageReader, Source, SplitIndices, UInt8Image
from .embedded import draw_uniforms

FloatImage = NDArray[np.float64]

SHAPE_CLASSES = ("circle", "ring", "square", "triangle", "star", "cross")
"""Names of the classes."""
LUMINANCE_WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Weights of R, G and B in the luminance by ITU-R 601, which Pillow's mode "L" uses too."""
DRAWING_VERSION = b"shapes 1"
"""Version of the drawing, to be raised when any image changes."""


@dataclass(frozen=True)
class ShapeReader(ImageReader):
    """Images of one shape each, on a linear gradient between two colours."""

    size: int
    channels: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __call__(self, index: int) -> UInt8Image:
        """Decode image ``index`` into uint8 pixels, shape (C, S, S)."""
        draw = draw_uniforms("shapes", index)
        x, y = _make_pixel_grid(self.size)
        angle = 2 * math.pi * draw[0]
        shade = 0.5 + 0.35 * (math.cos(angle) * x + math.sin(angle) * y)
        hue, dark = draw[1], draw[2] < 0.5
        saturation, value = (0.5, 0.2) if dark else (0.35, 0.97)
        near, far = _make_colour(hue, saturation, 0.8 * value), _make_colour(hue + 0.12, saturation, value)
        image = near[:, None, None] * (1 - shade) + far[:, None, None] * shade
        paint = _increase_contrast(_make_colour(hue + 0.25 + 0.5 * draw[3], 0.75 + 0.25 * draw[4], 0.9), dark)
        light = 1.08 - 0.16 * (y + 1) / 2
        coverage = self._compute_coverage(index, x, y)
        image = image * (1 - coverage) + np.minimum(paint[:, None, None] * light, 1) * coverage
        if self.channels == 1:
            image = np.tensordot(LUMINANCE_WEIGHTS, image, 1)[None]
        return np.rint(255 * image).astype(np.uint8)

    def _compute_coverage(self, index: int, x: FloatImage, y: FloatImage) -> FloatImage:
        """Compute the fraction of each pixel that the shape covers, from its signed distance to the outline."""
        radius, turn, across, down = draw_uniforms("shapes", index)[5:9]
        radius = 0.4 + 0.35 * radius
        max_offset = 0.95 - radius
        x, y = x - max_offset * (2 * across - 1), y - max_offset * (2 * down - 1)
        cos, sin = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
        x, y = cos * x + sin * y, cos * y - sin * x
        distance = _signed_distance(SHAPE_CLASSES[index % len(SHAPE_CLASSES)], x, y, radius)
        return np.clip(0.5 - distance * self.size / 2, 0, 1)

    def compute_digest(self) -> bytes:
        """Return the version of the drawing."""
        return DRAWING_VERSION


def open_shapes(size: int, channels: int, splits: SplitIndices) -> Source:
    """Open drawn shapes, whose classes take turns."""
    count = sum(map(len, splits))
    labels = torch.arange(count) % len(SHAPE_CLASSES)
    return Source(ShapeReader(size, channels, count), SHAPE_CLASSES, labels, splits)


@lru_cache(maxsize=2)
def _make_pixel_grid(size: int) -> tuple[FloatImage, FloatImage]:
    """Return the coordinates x and y of the pixels' centres, x to the right and y down, the image from -1 to 1."""
    axis = (2 * np.arange(size) + 1) / size - 1
    return axis[None, :], axis[:, None]


def _make_colour(hue: float, saturation: float, value: float) -> FloatImage:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))


def _increase_contrast(paint: FloatImage, dark: bool) -> FloatImage:
    """Lighten a colour to a luminance of at least 0.5 on dark ground, or darken it to at most 0.32 on light ground."""
    luminance = float(LUMINANCE_WEIGHTS @ paint)
    if dark:
        white = max(0.0, (0.5 - luminance) / (1 - luminance))
        return paint * (1 - white) + white
    return paint * min(1.0, 0.32 / luminance)


def _signed_distance(kind: str, x: FloatImage, y: FloatImage, radius: float) -> FloatImage:
    """Compute the signed distance to a shape's outline, negative inside; beyond corners it is an underestimate."""
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
            return _star_distance(x, y, 4, radius, math.cos(math.pi / 4))
        case "triangle":
            return _star_distance(x, y, 3, radius, math.cos(math.pi / 3))
        case _:
            return _star_distance(x, y, 5, radius, 0.45)


def _star_distance(x: FloatImage, y: FloatImage, points: int, radius: float, waist: float) -> FloatImage:
    """Compute the signed distance to a star, folded into half of one of its points, whose edge is a straight line.

    A waist (inner over outer radius) of cos(pi / points) makes the star a regular polygon.
    """
    half = math.pi / points
    angle = np.abs(np.mod(np.arctan2(y, x) + half, 2 * half) - half)
    length = np.hypot(x, y)
    across, up = waist * math.cos(half) - 1, waist * math.sin(half)
    norm = math.hypot(across, up)
    return ((length * np.cos(angle) - radius) * up - length * np.sin(angle) * across) / norm
