"""Decoding of images in `data.version` 1, kept to the bit for runs that were trained with it."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


def fit_to_square_in_version_1(image: Image.Image, size: int, channels: int) -> NDArray[np.uint8]:
    """Crop the centre square of an image, on half pixels if need be, and resize it by an antialiased bicubic filter.

    Colour profiles are not read, and integers of 0 to 65535 are taken for 16-bit pixels.

    Returns:
        uint8 pixels, shape (channels, size, size).

    Raises:
        ValueError: The pixels have no known range (floats, other integers).
    """
    image = _convert_to_8_bits(image).convert("L" if channels == 1 else "RGB")
    image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    pixels = np.asarray(image).reshape(size, size, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


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
