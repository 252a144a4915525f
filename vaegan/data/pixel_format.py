"""Pixels of any format as 8 bits of grey or sRGB, by what the file says of them and never by their values."""

from io import BytesIO
from typing import Any, cast

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from .code_points import check_code_points, is_unspecified, make_code_points_profile
from .colour_profile import convert_profile, get_profile, make_grey_table
from .file_header import BITS_PER_SAMPLE, get_header, get_tiff_values

PHOTOMETRIC, COLOUR_MAP, SAMPLE_FORMAT = 262, 320, 339
"""Tags of TIFF files."""
WHITE_IS_ZERO, SIGNED = 0, 2
"""Values of the tags `PHOTOMETRIC` and `SAMPLE_FORMAT`."""


def check_pixel_format(image: Image.Image) -> None:
    """Check that the range and the colours of an image's pixels are known from its header, and that Pillow reads them.

    Raises:
        ValueError: It has floating-point, signed or 32-bit pixels, or colours that are not converted to sRGB.
    """
    header = get_header(image)
    if header.problem:
        raise ValueError(header.problem)
    if header.code_points:
        check_code_points(header.code_points)
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known")
    if SIGNED in get_tiff_values(image, SAMPLE_FORMAT):
        raise ValueError("signed integer pixels, whose range is not known")
    if image.mode == "I" and image.format not in ("PNG", "PPM"):  # Pillow has 16 bits of these two in mode I
        raise ValueError("32-bit integer pixels, whose range is not known")


def correct_transparency(image: Image.Image) -> None:
    """Bring the transparent grey of a PNG file of 1, 2 or 4 bits, or its colour of 16, to the 8 bits of its pixels.

    It is known how many bits there were as long as the pixels are not loaded, and they are loaded by this.
    """
    colour = image.info.get("transparency")
    if _get_raw_mode(image) == "RGB;16B" and isinstance(colour, tuple):
        _add_alpha(image, colour)
        return
    grey, levels = image.info.get("transparency"), {"1": 1, "L;2": 3, "L;4": 15}.get(_get_raw_mode(image) or "")
    if levels and isinstance(grey, int):
        image.load()
        image.info["transparency"] = min(grey * 255 // levels, 255)  # of 1 bit, some versions of Pillow have done it


def _add_alpha(image: Image.Image, colour: tuple[int, ...]) -> None:
    """Add alpha to a PNG file of 16-bit RGB in which one colour is transparent.

    Pillow keeps the upper 8 bits. The lower ones are read from a copy whose bytes are taken in the other order.
    """
    file = cast(ImageFile, image).fp
    assert file is not None
    position = file.tell()
    file.seek(0)
    content = BytesIO(file.read())
    file.seek(position)
    with Image.open(content, formats=("PNG",)) as copy:
        (codec, box, offset, _), *_ = copy.tile
        cast(Any, copy).tile = [(codec, box, offset, "RGB;16L")]
        lower, upper = np.asarray(copy).astype(np.uint16), np.asarray(image).astype(np.uint16)
    is_colour = (256 * upper + lower == np.array(colour, dtype=np.uint16)).all(axis=2)
    del image.info["transparency"]
    image.putalpha(Image.fromarray(np.where(is_colour, 0, 255).astype(np.uint8)))


def correct_palette(image: Image.Image) -> None:
    """Take the colours of a TIFF file's palette for 8 bits if none is above 255, as libtiff does; they have 16 else."""
    colours = get_tiff_values(image, COLOUR_MAP)
    if image.mode in ("P", "PA") and colours and max(colours) <= 255:
        image.putpalette(np.array(colours, dtype=np.uint8).reshape(3, -1).T.tobytes())


def convert_to_srgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to 8 bits of grey (mode L or LA) or of sRGB (mode RGB or RGBA).

    Colours are converted by the image's profile (see `colour_profile`); its transparent parts stay transparent.

    Raises:
        ValueError: The range of its pixels is not known.
    """
    check_pixel_format(image)
    correct_transparency(image)
    correct_palette(image)
    header = get_header(image)
    if header.code_points and not is_unspecified(header.code_points):
        profile = make_code_points_profile(header.code_points)
    else:
        profile = header.profile or get_profile(image)
    if image.mode.startswith("I"):
        return _convert_wide_grey(image, profile)
    is_grey = image.mode in ("1", "L", "LA", "La")
    if not (image.has_transparency_data and header.has_alpha):
        if image.mode not in ("CMYK", "LAB"):
            image = convert_mode(image, "L" if is_grey else "RGB")
        return convert_profile(image, profile)
    image = convert_mode(image, "LA" if is_grey else "RGBA")
    converted = convert_profile(image.convert("L" if is_grey else "RGB"), profile)
    converted.putalpha(image.getchannel("A"))
    return converted


def convert_mode(image: Image.Image, mode: str) -> Image.Image:
    """Return an image in another mode of 8 bits; without a copy if it has that mode."""
    return image if image.mode == mode else image.convert(mode)


def _convert_wide_grey(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert grey of 9 to 16 bits to mode L, or to mode LA if one value of it is transparent."""
    (bits,) = get_tiff_values(image, BITS_PER_SAMPLE) or (16,)
    largest = 2**bits - 1
    levels = np.arange(largest + 1, dtype=np.uint32)
    table = ((levels * 255 + largest // 2) // largest).astype(np.uint8)
    if profile is not None and (curve := make_grey_table(profile)) is not None:
        table = np.rint(np.interp(levels * (255 / largest), np.arange(256), curve)).astype(np.uint8)
    values = np.asarray(image)
    if WHITE_IS_ZERO in get_tiff_values(image, PHOTOMETRIC):
        table = table[::-1]
    converted = Image.fromarray(table[values])
    key = image.info.get("transparency")
    if isinstance(key, int):
        converted.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return converted


def _get_raw_mode(image: Image.Image) -> str | None:
    """Return Pillow's name of the layout of a PNG file's pixels; None if they are loaded, or of another format."""
    tiles = getattr(image, "tile", None) if image.format == "PNG" else None
    layout = tiles[0][3] if tiles else None
    return layout if isinstance(layout, str) else None
