"""Reading of one image file of any size and mode into uint8 pixels of the model's size."""

import ctypes
import logging
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, _imaging

from vaegan.config.data import Crop, Fit
from vaegan.extras import check_packages
from vaegan.io import open_regular_file
from vaegan.text import make_printable, to_one_line

from .file_header import get_tiff_values
from .fit import DATA_VERSION, convert_whole, fit_to_square, make_canvas
from .pixel_format import check_pixel_format, correct_transparency
from .unread_formats import describe_unread
from .whole_image import check_whole, has_simplejpeg

MIN_IMAGE_SIDE_PIXELS = 8
"""Smallest side of an image that is used, which is the smallest `data.image_size`."""

PILLOW_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")
"""Pillow's names of the formats that are read. Files choose their format themselves, and some (EPS) start programs."""

DECODING_REVISION = 2
"""Number that changes with what is read, and what refused, by `DATA_VERSION`, so that kept verdicts do not count."""

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Brands of HEIF files, which are read if pillow-heif is installed."""

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF files."""

TURNED_ORIENTATIONS = (5, 6, 7, 8)
"""EXIF orientations of images that lie on their side."""


class StoredImage(NamedTuple):
    """Size, mode and format of an image before it is decoded to the size of the config."""

    width: int
    """Width in pixels, upright."""
    height: int
    """Height in pixels, upright."""
    mode: str
    """Pillow's name of its kind of pixels: `RGB`, `L`, `CMYK`, ..."""
    format: str
    """Format of its file: `JPEG`, `PNG`, `npy`, ..."""


class EncodedImage(NamedTuple):
    """The contents of an image file that is not on disk."""

    name: str
    """Name of the image, for messages."""
    content: bytes

    def __str__(self) -> str:
        return self.name


class UnreadableImageError(Exception):
    """A file that cannot be used as an image."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(file, reason)
        self.file = file
        """Path of the file, printable in one line."""
        self.reason = reason
        """Problem of the file, as a clause."""

    @property
    def is_lasting(self) -> bool:
        """True if the contents of the file are to blame, False if the system is, which may read it the next time."""
        return not isinstance(self.__cause__, MemoryError) and getattr(self.__cause__, "errno", None) is None


@contextmanager
def silence_pillow() -> Iterator[None]:
    """Suppress Pillow's warnings about odd but readable files (EXIF, transparency, 100-megapixel pictures)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def read_image(
    path: str | Path | EncodedImage,
    size: int,
    channels: int,
    version: int = DATA_VERSION,
    notify: Callable[[str], None] | None = None,
    fit: Fit = "crop",
    min_side: int = MIN_IMAGE_SIDE_PIXELS,
) -> NDArray[np.uint8]:
    """Read the first frame of an image file, upright, into uint8 pixels, shape (channels, size, size).

    Args:
        path: The file, or its contents.
        size: Height and width that it is fitted to.
        channels: Channels that it is converted to, 1 to 4.
        version: The `data.version` of the run.
        notify: Called with one line about a picture of more pixels than Pillow takes for harmless.
        fit: The setting `data.fit`.
        min_side: Smallest side in pixels that the image may have.

    Raises:
        UnreadableImageError: The file cannot be opened or decoded, has more than about 179 million pixels, is smaller
            than ``min_side``, or has pixels of an unknown range.
    """
    with _open_image(path, version, min_side) as image:
        if notify is not None and Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
            notify(f"{make_printable(path)}: {image.width * image.height:,} pixels, read all the same")
        if version > 1:
            turn_upright(image)
        else:
            ImageOps.exif_transpose(image, in_place=True)
        return fit_to_square(image, size, channels, version, fit)


def read_whole_image(path: str | Path | EncodedImage, channels: int) -> NDArray[np.uint8]:
    """Read the first frame of an image file, upright and in its own size, into uint8 pixels, shape (channels, H, W).

    Raises:
        UnreadableImageError: The file cannot be used as an image, as in `read_image`.
    """
    with _open_image(path) as image:
        turn_upright(image)
        return convert_whole(image, channels)


def read_canvas(path: str | Path | EncodedImage, size: int, channels: int, crop: Crop) -> NDArray[np.uint8]:
    """Read an image file into the pixels that random crops are taken from, as `make_canvas` returns them.

    Raises:
        UnreadableImageError: The file cannot be used as an image, as in `read_image`.
    """
    with _open_image(path) as image:
        turn_upright(image)
        return make_canvas(image, size, channels, crop)


def turn_upright(image: Image.Image) -> None:
    """Turn an image in its place as its EXIF says, which no more says it then."""
    correct_transparency(image)  # which is known as long as the pixels are not loaded
    ImageOps.exif_transpose(image, in_place=True)


def check_image(path: str | Path | EncodedImage, version: int = DATA_VERSION) -> None:
    """Check an image file's header, which does not reveal a damaged body.

    Raises:
        UnreadableImageError: The file cannot be opened, is no image, is smaller than `MIN_IMAGE_SIDE_PIXELS`, or has
            pixels of an unknown range.
    """
    with _open_image(path, version):
        pass


def check_body(path: str | Path | EncodedImage) -> None:
    """Check that an image file that can be decoded holds all of its pixels (see `whole_image`).

    Raises:
        UnreadableImageError: Some are missing or damaged, or the file cannot be opened.
    """
    try:
        with _open_bytes(path) as file:
            check_whole(file)
    except (OSError, ValueError, struct.error) as error:
        raise UnreadableImageError(make_printable(path), _describe_error(error)) from error


IMAGE_WIDTH, IMAGE_LENGTH = 256, 257
"""Tags of TIFF files: the size that is stored."""


def describe_image(
    path: str | Path | EncodedImage, version: int = DATA_VERSION, min_side: int = MIN_IMAGE_SIDE_PIXELS
) -> StoredImage:
    """Read size, mode and format of an image file from its header.

    Raises:
        UnreadableImageError: The file cannot be opened, is no image, or has a side of fewer pixels than ``min_side``.
    """
    with _open_image(path, version, min_side) as image:
        exif = Image.Image.getexif(image)  # that of PNG files decodes them first
        turned = exif.get(ExifTags.Base.Orientation) in TURNED_ORIENTATIONS
        (width,) = get_tiff_values(image, IMAGE_WIDTH) or (image.width,)  # some Pillows have turned the size of a TIFF
        (height,) = get_tiff_values(image, IMAGE_LENGTH) or (image.height,)
        width, height = (height, width) if turned else (width, height)
        return StoredImage(width, height, image.mode, image.format or "unknown")


@contextmanager
def _open_image(
    path: str | Path | EncodedImage, version: int = DATA_VERSION, min_side: int = MIN_IMAGE_SIDE_PIXELS
) -> Iterator[Image.Image]:
    try:
        with _open_bytes(path) as file, _identify(file, version) as image:
            if min(image.size) < min_side:
                raise ValueError(f"{image.width}x{image.height} pixels, fewer than {min_side} on a side")
            if version > 1:
                check_pixel_format(image)
            yield image
    except Exception as error:  # a damaged file makes Pillow's readers raise nearly anything
        raise UnreadableImageError(make_printable(path), _describe_error(error)) from error


def _open_bytes(path: str | Path | EncodedImage) -> AbstractContextManager[IO[bytes]]:
    return BytesIO(path.content) if isinstance(path, EncodedImage) else open_regular_file(path)


def _identify(file: IO[bytes], version: int) -> Image.Image:
    """Read the header of an image file.

    Raises:
        UnidentifiedImageError: It is of none of the formats that are read.
        ValueError: It is a HEIF picture, and the version is 1, a TIFF file of unknown pixels, or what
            `describe_unread` knows.
        UserError: It is a HEIF picture, and pillow-heif is not installed.
    """
    _silence_decoders()
    Image.init()
    formats = [name for name in PILLOW_FORMATS if name in Image.OPEN]
    if version > 1 and _register_heif():
        formats.append("HEIF")
    try:
        return Image.open(file, formats=formats)
    except UnidentifiedImageError:
        file.seek(0)
        head = file.read(32)
        if head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS:
            if version == 1:
                raise ValueError("a HEIC picture, which runs of data.version 1 do not read") from None
            check_packages(["pillow_heif"])
        if head[:4] in TIFF_SIGNATURES:
            raise ValueError("a TIFF file that is damaged, or of a kind that Pillow does not read") from None
        if reason := describe_unread(head):
            raise ValueError(reason) from None
        raise


def describe_decoder() -> str:
    """Return text that names all on this machine that a file's being readable depends on."""
    packages = f"Pillow {PIL.__version__}{', pillow-heif' * _register_heif()}{', simplejpeg' * has_simplejpeg()}"
    return f"{packages}, revision {DECODING_REVISION}"


@lru_cache(maxsize=1)
def _register_heif() -> bool:
    """Let Pillow read HEIF files if the package for it is installed, and return whether it is."""
    if find_spec("pillow_heif") is None:
        return False
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return True


@lru_cache(maxsize=1)
def _silence_decoders() -> None:
    """Keep Pillow and libtiff, where Pillow loads it as a library, from printing the errors that are raised too."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with suppress(OSError, AttributeError):
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


def _describe_error(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
    if isinstance(error, MemoryError):
        return "more pixels than there is memory for"
    words = to_one_line(error)
    is_code = (
        not words or words.startswith("decoder error") or isinstance(error, LookupError | struct.error | TypeError)
    )
    return "damaged, or of a kind that Pillow does not read" if is_code else words
