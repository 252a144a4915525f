"""Reading of one image file of any size and mode into uint8 pixels of the model's size."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from vaegan.io import open_regular_file
from vaegan.text import make_printable, to_one_line

MIN_IMAGE_SIDE_PIXELS = 8
"""Smallest side of an image that is used, which is the smallest `data.image_size`."""

PILLOW_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")
"""Pillow's names of the formats that are read. Files choose their format themselves, and some (EPS) start programs."""

TURNED_ORIENTATIONS = (5, 6, 7, 8)
"""EXIF orientations of images that lie on their side."""


class StoredImage(NamedTuple):
    """What an image is before it is decoded to the size of the config."""

    width: int
    """Width in pixels, upright."""
    height: int
    """Height in pixels, upright."""
    mode: str
    """Pillow's name of its kind of pixels: `RGB`, `L`, `CMYK`, ..."""
    format: str
    """Format of its file: `JPEG`, `PNG`, `npy`, ..."""


class UnreadableImageError(Exception):
    """A file that cannot be used as an image."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(file, reason)
        self.file = file
        """Path of the file, printable in one line."""
        self.reason = reason
        """Problem of the file, as a clause."""


@contextmanager
def silence_pillow() -> Iterator[None]:
    """Suppress Pillow's warnings about odd but readable files (EXIF, transparency, 100-megapixel pictures)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def read_image(path: str | Path, size: int, channels: int) -> NDArray[np.uint8]:
    """Read the first frame of an image file, upright, into uint8 pixels, shape (channels, size, size).

    Raises:
        UnreadableImageError: The file cannot be opened or decoded, has more than about 179 million pixels, is smaller
            than `MIN_IMAGE_SIDE_PIXELS`, or has pixels of an unknown range.
    """
    with _open_image(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return fit_to_square(image, size, channels)


def check_image(path: str | Path) -> None:
    """Check an image file's header, which does not reveal a damaged body.

    Raises:
        UnreadableImageError: The file cannot be opened, is no image, or is smaller than `MIN_IMAGE_SIDE_PIXELS`.
    """
    with _open_image(path):
        pass


def describe_image(path: str | Path) -> StoredImage:
    """Read size, mode and format of an image file from its header.

    Raises:
        UnreadableImageError: The file cannot be opened, is no image, or is smaller than `MIN_IMAGE_SIDE_PIXELS`.
    """
    with _open_image(path) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation) in TURNED_ORIENTATIONS
        width, height = image.size[::-1] if turned else image.size
        return StoredImage(width, height, image.mode, image.format or "unknown")


def fit_to_square(image: Image.Image, size: int, channels: int) -> NDArray[np.uint8]:
    """Crop the centre square of an image and resize it with Pillow's antialiased bicubic filter.

    Transparent pixels are laid on white; 16-bit grey is scaled to 8 bits; grey (channels 1) is ITU-R 601 luminance.

    Returns:
        uint8 pixels, shape (channels, size, size).

    Raises:
        ValueError: The pixels have no known range (floats, 32-bit integers).
    """
    image = _convert_to_8_bits(image).convert("L" if channels == 1 else "RGB")
    image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    pixels = np.asarray(image).reshape(size, size, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


@contextmanager
def _open_image(path: str | Path) -> Iterator[Image.Image]:
    Image.init()
    try:
        formats = [name for name in PILLOW_FORMATS if name in Image.OPEN]
        with open_regular_file(path) as file, Image.open(file, formats=formats) as image:
            if min(image.size) < MIN_IMAGE_SIDE_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels, fewer than {MIN_IMAGE_SIDE_PIXELS} on a side")
            yield image
    except Exception as error:  # a damaged file makes Pillow's readers raise nearly anything
        raise UnreadableImageError(make_printable(path), _describe_error(error)) from error


def _describe_error(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return to_one_line(error) or type(error).__name__


def _convert_to_8_bits(image: Image.Image) -> Image.Image:
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
