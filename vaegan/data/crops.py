"""Random crops of training images: what they are taken from, and which one a step takes."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaegan.config.data import Crop

from .fit import to_pil, to_planes

MIN_AREA = 0.25
"""Smallest area of a `random_resized` crop, as a fraction of that of the largest square."""
MAX_RATIO = 4 / 3
"""Largest ratio of the sides of a `random_resized` crop, as in Szegedy et al. 2015."""
CROP_NUMBERS = 4
"""Uniform numbers that determine a crop."""


def cut_crop(canvas: NDArray[np.uint8], size: int, crop: Crop, numbers: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Cut a crop, whose edges lie on whole pixels, and resize it if it is one of `random_resized`.

    Args:
        canvas: Pixels that it is taken from, uint8, shape (C, H, W).
        size: Height and width S of the result.
        crop: ``random``: S x S pixels. ``random_resized``: a box whose area is `MIN_AREA` to 1 times that of the
            largest square and whose sides have a ratio of 1 / `MAX_RATIO` to `MAX_RATIO` (uniform in its logarithm), as
            far as it lies within the canvas.
        numbers: What it is a function of: `CROP_NUMBERS` numbers in [0, 1).

    Returns:
        uint8 pixels, shape (C, S, S).
    """
    _, height, width = canvas.shape
    tall = wide = size
    if crop == "random_resized":
        side = min(height, width) * (MIN_AREA + (1 - MIN_AREA) * numbers[2]) ** 0.5
        stretch = MAX_RATIO ** (numbers[3] - 0.5)
        tall, wide = min(height, max(1, round(side / stretch))), min(width, max(1, round(side * stretch)))
    top, left = int(numbers[0] * (height - tall + 1)), int(numbers[1] * (width - wide + 1))
    box = canvas[:, top : top + tall, left : left + wide]
    if (tall, wide) == (size, size):
        return np.ascontiguousarray(box)
    return to_planes(to_pil(box).resize((size, size), Image.Resampling.BICUBIC))
