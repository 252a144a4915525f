"""Traversals: images of a code of which one dimension takes the values of the prior's quantiles."""

import math
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vaegan.images import GAP_PIXELS, draw_image_grid

EXTREME_PROBABILITY = 0.01
"""Probability of the first quantile of a traversal, and of what lies above the last one."""

FONT_PIXELS, HEADER_PIXELS = 13, 24
"""Size of the letters of a picture of traversals, and height of the names of its columns."""


def get_probabilities(steps: int) -> Tensor:
    """Return the probabilities of a traversal's quantiles, evenly from 1 % to 99 %, float64, shape (steps,)."""
    return torch.linspace(EXTREME_PROBABILITY, 1 - EXTREME_PROBABILITY, steps, dtype=torch.float64)


def compute_prior_quantiles(probabilities: Tensor, size: int) -> Tensor:
    """Compute the quantiles of N(0, 1) for each of ``size`` dimensions: (steps,) => (steps, size)."""
    quantiles: Tensor = torch.special.ndtri(probabilities)
    return quantiles[:, None].expand(-1, size)


def compute_code_quantiles(codes: Tensor, probabilities: Tensor) -> Tensor:
    """Compute the quantiles of each dimension of codes: (N, d) and (steps,) => float64 (steps, d)."""
    return torch.stack([torch.quantile(column.double(), probabilities) for column in codes.T], dim=1)


def choose_typical_code(codes: Tensor) -> Tensor:
    """Return the code, of those of some images, whose distance from their mean is the median: (N, d) => (d,).

    Traversals start there rather than at the mean, which is far shorter than a code of an image: a decoder that
    normalises its layers hardly sees how long a code is, and makes of a single dimension that leaves the mean about the
    same image, however far it goes.
    """
    distances = (codes.double() - codes.double().mean(0)).norm(dim=1)
    return codes[distances.median(0).indices]


def traverse_codes(code: Tensor, dimensions: Tensor, values: Tensor) -> Tensor:
    """Replace one dimension of a code at a time by each of its values.

    Args:
        code: The code, shape (d,).
        dimensions: Dimensions that vary, int64, shape (k,).
        values: Values of every dimension, shape (steps, d).

    Returns:
        Codes of each dimension in turn, shape (k, steps, d), of the code's dtype and device.
    """
    codes = code.expand(len(dimensions), len(values), -1).clone()
    for row, dimension in enumerate(dimensions.tolist()):
        codes[row, :, dimension] = values[:, dimension].to(code)
    return codes


def draw_traversals(images: Tensor, names: Sequence[str], columns: Sequence[str]) -> Image.Image:
    """Draw a row of images for each dimension, with its name before it, and the quantiles above the columns.

    Args:
        images: uint8, shape (k, steps, C, S, S).
        names: Name of each row.
        columns: Name of each column.
    """
    grid = draw_image_grid(images.flatten(0, 1), images.shape[1])
    left = get_margin_pixels(names)
    picture = Image.new("RGB", (left + grid.width, HEADER_PIXELS + grid.height), "white")
    picture.paste(grid, (left, HEADER_PIXELS))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT_PIXELS)
    height, width = (grid.height - GAP_PIXELS) / images.shape[0], (grid.width - GAP_PIXELS) / images.shape[1]
    for row, name in enumerate(names):
        draw.text((left - FONT_PIXELS // 2, HEADER_PIXELS + (row + 0.5) * height), name, "black", font, anchor="rm")
    for column, name in enumerate(columns):
        draw.text((left + (column + 0.5) * width, HEADER_PIXELS / 2), name, "black", font, anchor="mm")
    return picture


def draw_frames(images: Tensor) -> list[Image.Image]:
    """Draw the images of all dimensions side by side, a frame for each step, there and back.

    Args:
        images: uint8, shape (k, steps, C, S, S).

    Returns:
        2 steps - 2 frames, which can be repeated without a jump.
    """
    columns = math.ceil(len(images) ** 0.5)
    frames = [draw_image_grid(step, columns) for step in images.unbind(1)]
    return frames + frames[-2:0:-1]


def get_margin_pixels(names: Sequence[str]) -> int:
    """Return the width of the names before the rows of `draw_traversals`."""
    font = ImageFont.load_default(FONT_PIXELS)
    return math.ceil(max(font.getlength(name) for name in names)) + FONT_PIXELS
