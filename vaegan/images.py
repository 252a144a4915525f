"""Conversion between the networks' pixels (float, [-1, 1]) and those of image files (uint8, 0 to 255), and grids."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .entry import python_entry
from .errors import UserError
from .io import open_regular_file, replace_file

ALPHA_CHANNELS = (2, 4)
"""Numbers of channels of which the last is alpha: of grey and of colours."""
SHOWN_COLUMNS = 8
"""Images of each row of `show` by default."""
GAP_PIXELS = 2
"""White pixels between the images of a grid."""
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
"""Last chunk of a PNG file."""
MAX_PIXEL_VALUE = 2.0
"""Largest absolute value of floats that are taken for pixels in [-1, 1]; a network may leave that range a little."""


def to_float(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert uint8 pixels of any shape to ``dtype``, in [-1, 1]."""
    return images.to(dtype) / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Convert float pixels in [-1, 1] of any shape to uint8, rounded to nearest and clamped."""
    return (images.float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


def to_pil(image: Tensor) -> Image.Image:
    """Convert an image, uint8, shape (C, H, W) with C = 1 to 4, to a PIL image of mode L, LA, RGB or RGBA."""
    pixels = image.cpu().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def to_colour_arrays(images: Tensor) -> NDArray[np.uint8]:
    """Convert images to an array as evaluators of samples take it, uint8, shape (N, H, W, C).

    They take colours alone, so that grey is repeated to three channels.

    Args:
        images: uint8, shape (N, C, H, W).
    """
    colours = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
    return np.ascontiguousarray(colours.cpu().permute(0, 2, 3, 1).numpy())


def write_png(image: Tensor, file: Path) -> None:
    """Write an image, uint8, shape (C, H, W), as a PNG file, which is replaced as a whole; its folder is created.

    It is not flushed to the disk; after a crash `is_whole_png` tells one that was cut short.

    Raises:
        OSError: The file cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(file, sync=False) as partial:
        to_pil(image).save(partial, "png")


def write_missing_pngs(files: Sequence[Path], make: Callable[[], Tensor]) -> None:
    """Write images as PNG files, as far as they are not there; if all are, none is made.

    Args:
        files: The files.
        make: Returns the images of all files, uint8, shape (N, C, H, W).

    Raises:
        OSError: A file cannot be written.
    """
    if missing := [number for number, file in enumerate(files) if not is_whole_png(file)]:
        images = make()
        for number in missing:
            write_png(images[number], files[number])


def is_whole_png(file: Path) -> bool:
    """Return whether a PNG file is there, up to the last bytes that are written."""
    try:
        with open_regular_file(file) as stream:
            stream.seek(-len(PNG_END), os.SEEK_END)
            return stream.read() == PNG_END
    except OSError:  # also of a file that is shorter
        return False


def check_pixel_values(images: Tensor) -> None:
    """Check that floats can be pixels in [-1, 1]; other types and no pixels at all pass.

    Raises:
        UserError: A value is far outside, as those of 0 to 255 are, or no number.
    """
    if images.is_floating_point() and images.numel() and not (largest := images.abs().max().item()) <= MAX_PIXEL_VALUE:
        raise UserError(f"images: floats up to {largest:g}; give floats from -1 to 1, or uint8 from 0 to 255")


def draw_image_grid(images: Tensor, columns: int, scale: int | None = None) -> Image.Image:
    """Draw images side by side on a white ground; a single one keeps its alpha.

    Args:
        images: uint8, or float in [-1, 1], shape (N, C, S, S).
        columns: Images of each row.
        scale: Screen pixels per pixel, without smoothing; None: the largest that keeps images within 64, at least 1.
    """
    images = images if images.dtype == torch.uint8 else to_uint8(images)
    scale = scale or max(1, 64 // images.shape[-1])
    enlarged = images.cpu().repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    keeps_alpha = len(images) == 1 and images.shape[1] in ALPHA_CHANNELS
    return to_pil(enlarged[0] if keeps_alpha else lay_out(enlarged, columns))


def lay_on_white(images: Tensor) -> Tensor:
    """Lay images with alpha on white, and return others as they are.

    Args:
        images: uint8, or float in [-1, 1], shape (N, C, H, W); with C = 2 or 4 the last channel is alpha.

    Returns:
        Of the same dtype, shape (N, C', H, W): C' = 1 for grey, 3 for colours. Differentiable if the images are float.
    """
    if images.shape[1] not in ALPHA_CHANNELS:
        return images
    colours, alpha = images[:, :-1], images[:, -1:]
    if images.dtype == torch.uint8:
        return 255 - ((255 - colours.int()) * alpha.int() + 127).div(255, rounding_mode="floor").to(torch.uint8)
    return 1 - (1 - colours) * (alpha + 1) / 2


def get_grid_size(count: int, side: int, columns: int) -> tuple[int, int]:
    """Return width and height in pixels of the picture that `draw_image_grid` makes of images (N, C, S, S).

    Args:
        count: Number N of images.
        side: Height and width S of an image.
        columns: Images of each row.
    """
    enlarged = side * max(1, 64 // side)
    if count == 1:
        return enlarged, enlarged
    width, height = min(columns, count), -(-count // min(columns, count))
    return width * (enlarged + GAP_PIXELS) + GAP_PIXELS, height * (enlarged + GAP_PIXELS) + GAP_PIXELS


def lay_out(images: Tensor, columns: int, gap: int = GAP_PIXELS) -> Tensor:
    """Lay out images in rows on a white ground, with white pixels around each; a single image gets none.

    Args:
        images: uint8, shape (N, C, H, W) with C = 1 to 4; those with alpha are laid on white.
        columns: Images of each row.
        gap: Pixels between the images.

    Returns:
        The picture, uint8, shape (3, H', W').
    """
    images, columns = lay_on_white(images).expand(-1, 3, -1, -1), min(columns, len(images))
    if len(images) == 1:
        return images[0]
    height, width = (side + gap for side in images.shape[2:])
    grid = images.new_full((3, -(-len(images) // columns) * height + gap, columns * width + gap), 255)
    for index, image in enumerate(images):
        top, left = index // columns * height + gap, index % columns * width + gap
        grid[:, top : top + height - gap, left : left + width - gap] = image
    return grid


def draw_pairs(real: Tensor, fake: Tensor, columns: int = 8) -> Image.Image:
    """Draw rows of real images, each above the row of their counterparts.

    Args:
        real: uint8, or float in [-1, 1], shape (N, C, S, S).
        fake: Counterpart of each real image, uint8, or float in [-1, 1], shape (N, C, S, S).
        columns: Images of each row.
    """
    real, fake = (images if images.dtype == torch.uint8 else to_uint8(images) for images in (real.cpu(), fake.cpu()))
    white = real.new_full((-len(real) % columns, *real.shape[1:]), 255)
    rows = zip(torch.cat([real, white]).split(columns), torch.cat([fake, white]).split(columns), strict=True)
    return draw_image_grid(torch.cat([row for pair in rows for row in pair]), columns)


@python_entry
def show(images: Any, columns: int | None = None) -> Image.Image:
    """Draw images side by side and return the picture, which a notebook shows at the end of a cell.

    Args:
        images: A tensor or an array, shape (N, C, S, S), or one image, shape (C, S, S), with C = 1 to 4: uint8, or
            float in [-1, 1], as a model's images are. With 2 or 4 the last channel is alpha, and several are laid on
            white.
        columns: Images of each row; None: as many as there are, at most 8.

    Returns:
        The picture; small images are enlarged. ``show(images).save("images.png")`` writes it.

    Raises:
        UserError: ``images`` has another shape or type, floats far outside [-1, 1], or no image, or ``columns`` is less
            than 1.
    """
    try:
        # torch takes no array whose strides are negative, as those of images[::-1] are.
        pixels = torch.as_tensor(images.copy() if isinstance(images, np.ndarray) else images).detach()
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"images: {type(images).__name__}; give a tensor or an array") from None
    if pixels.ndim == 3:
        pixels = pixels[None]
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 2, 3, 4) or not pixels.numel():
        shape = tuple(pixels.shape)
        raise UserError(f"images: shape {shape}; give (N, C, S, S), or (C, S, S) for one image, with C = 1 to 4")
    if pixels.dtype != torch.uint8 and not pixels.is_floating_point():
        raise UserError(f"images: {pixels.dtype}; give uint8 from 0 to 255, or floats from -1 to 1")
    check_pixel_values(pixels)
    if columns is not None and (not isinstance(columns, int) or columns < 1):
        raise UserError(f"columns: {columns!r}; give 1 or more, a whole number")
    return draw_image_grid(pixels, columns or SHOWN_COLUMNS)
