"""Fitting of a decoded image of any size and mode to the pixels that a network takes, or that crops are cut from."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaegan.config.data import Crop, Fit

from .pixel_format import convert_mode, convert_to_srgb
from .version_1 import fit_to_square_in_version_1

DATA_VERSION = 2
"""The `data.version` of new runs."""

MAX_ASPECT_RATIO = 64
"""Longest side of an image that is resized, in units of its shortest side."""
CANVAS_SIDES = 2
"""Shortest side of what a `random_resized` crop is taken from, at most, in units of the side of the crop."""


def fit_to_square(
    image: Image.Image, size: int, channels: int, version: int = DATA_VERSION, fit: Fit = "crop"
) -> NDArray[np.uint8]:
    """Convert an image to sRGB or grey, resize its short side by an antialiased bicubic filter, and crop the centre.

    Where there is no channel for alpha, transparent pixels are laid on white; grey is ITU-R 601 luminance. What is made
    of these pixels is, to the bit, what torchvision's `Resize(size, BICUBIC)` and `CenterCrop(size)` make of them; an
    image whose short side is ``size`` is only cropped.

    Args:
        image: An image of any mode.
        size: Height and width that it is fitted to.
        channels: Channels that it is converted to: 1, grey; 2, with alpha; 3, RGB; 4, with alpha, by which colours are
            weighted where it is resized.
        version: The `data.version` of the run.
        fit: ``crop``, or ``stretch``, which resizes both sides and crops nothing.

    Returns:
        uint8 pixels, shape (channels, size, size).

    Raises:
        ValueError: The pixels have no known range (floats, signed or 32-bit integers).
    """
    if version == 1:
        return fit_to_square_in_version_1(image, size, channels)
    image = _convert_pixels(image, channels)
    if fit == "stretch":
        image = image if image.size == (size, size) else image.resize((size, size), Image.Resampling.BICUBIC)
    else:
        image = resize_and_crop(image, size)
    return to_planes(image)


def convert_whole(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """Return the pixels of an image in its own size, uint8, shape (channels, H, W), converted as in `fit_to_square`.

    Raises:
        ValueError: The pixels have no known range.
    """
    return to_planes(_convert_pixels(image, channels))


def make_canvas(image: Image.Image, size: int, channels: int, crop: Crop) -> NDArray[np.uint8]:
    """Return the pixels that random crops of an image are taken from, uint8, shape (channels, H, W).

    They are those of `fit_to_square` before it crops, in the size that `get_canvas_side` says.

    Args:
        image: An image of any mode.
        size: Height and width of the crops.
        channels: Channels that it is converted to.
        crop: Kind of the crops.

    Raises:
        ValueError: The pixels have no known range.
    """
    image = _convert_pixels(image, channels)
    return to_planes(resize_short_side(image, get_canvas_side(min(image.size), size, crop)))


def _convert_pixels(image: Image.Image, channels: int) -> Image.Image:
    """Return an image in sRGB or grey, with its alpha or, where there is no channel for it, laid on white."""
    image = convert_to_srgb(image)
    if image.mode in ("LA", "RGBA") and channels in (1, 3):
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return convert_mode(image, {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels])


def to_planes(image: Image.Image) -> NDArray[np.uint8]:
    """Convert a PIL image of mode L, LA, RGB or RGBA to pixels, uint8, shape (C, H, W)."""
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def get_canvas_side(short: int, size: int, crop: Crop) -> int:
    """Return the shortest side of what crops of an image are taken from, in pixels.

    Args:
        short: Shortest side of the image, in pixels.
        size: Side of the crops, in pixels.
        crop: Kind of the crops.
    """
    return size if crop == "random" else min(short, CANVAS_SIDES * size)


def to_pil(pixels: NDArray[np.uint8]) -> Image.Image:
    """Convert pixels, uint8, shape (C, H, W), to a PIL image."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def resize_and_crop(image: Image.Image, size: int) -> Image.Image:
    """Return the centre square, ``size`` pixels wide, of an image whose short side was resized to ``size``.

    What is cropped begins at a whole pixel.
    """
    return crop_centre(resize_short_side(image, size), size, size)


def resize_short_side(image: Image.Image, size: int) -> Image.Image:
    """Return an image whose short side is ``size`` pixels long.

    An image that is more than `MAX_ASPECT_RATIO` times as long as it is short is cropped to that before, so that its
    resized version fits into memory.
    """
    short = min(image.size)
    image = crop_centre(image, min(image.width, MAX_ASPECT_RATIO * short), min(image.height, MAX_ASPECT_RATIO * short))
    if short == size:
        return image
    width, height = (int(size * side / short) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def crop_centre(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return the centre of an image, whose edges lie on whole pixels (those of torchvision's `CenterCrop`)."""
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    if (width, height) == image.size:
        return image
    return image.crop((left, top, left + width, top + height))
