"""From a picture of any size and mode to uint8 pixels of the model's size."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from vaegan.io import open_regular_file
from vaegan.text import make_printable, to_one_line

MIN_SIDE_PIXELS = 8
"""Pixels: a picture with a shorter side than the smallest `data.image_size` is too small to train on."""

PILLOW_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")
"""Pillow's names of what is read. A file says itself what it is, and some formats (EPS) would start other programs."""


class UnreadableImageError(Exception):
    """A file cannot be used as an image."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(file, reason)
        self.file = file
        """The file, as it may be printed in one line."""
        self.reason = reason
        """What is wrong with it, as a clause."""


@contextmanager
def silence_pillow() -> Iterator[None]:
    """Keep Pillow's remarks on odd but readable files (EXIF, transparency, 100-megapixel pictures) to ourselves."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def read_image(path: str | Path, size: int, channels: int) -> NDArray[np.uint8]:
    """The first frame of an image file, upright, fitted to uint8 pixels of shape (channels, size, size).

    Raises:
        Unreadable: It cannot be opened or decoded, has more than about 179 million pixels, is smaller than
            `MIN_SIDE_PIXELS`, or has pixels of an unknown range.
    """
    with _opened(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return fit_to_square(image, size, channels)


def check_image(path: str | Path) -> None:
    """Read an image file's header; raises Unreadable as `read_image` does, but does not find a damaged body."""
    with _opened(path):
        pass


def fit_to_square(image: Image.Image, size: int, channels: int) -> NDArray[np.uint8]:
    """Centre square of an image, resized with Pillow's antialiased bicubic filter.

    Transparent pixels lie on white; 16-bit grey is scaled to 8 bits; grey (channels 1) is ITU-R 601 luminance.

    Returns:
        uint8 pixels, shape (channels, size, size).

    Raises:
        ValueError: The pixels have no known range (floats, 32-bit integers).
    """
    image = _eight_bits(image).convert("L" if channels == 1 else "RGB")
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    if (width, height) != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    pixels = np.asarray(image).reshape(size, size, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    Image.init()
    try:
        formats = [name for name in PILLOW_FORMATS if name in Image.OPEN]
        with open_regular_file(path) as file, Image.open(file, formats=formats) as image:
            if min(image.size) < MIN_SIDE_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels, fewer than {MIN_SIDE_PIXELS} on a side")
            yield image
    except Exception as error:  # a damaged file makes Pillow's readers raise nearly anything
        raise UnreadableImageError(make_printable(path), _reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return to_one_line(error) or type(error).__name__


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("32-bit integer pixels, whose range is not known")
        return Image.fromarray(((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image
