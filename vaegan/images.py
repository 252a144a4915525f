"""Conversion between the networks' pixels (float, [-1, 1]) and those of image files (uint8, 0 to 255), and grids."""

import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid


def to_float(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert uint8 pixels of any shape to ``dtype``, in [-1, 1]."""
    return images.to(dtype) / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Convert float pixels in [-1, 1] of any shape to uint8, rounded to nearest and clamped."""
    return (images.float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


def to_pil(image: Tensor) -> Image.Image:
    """Convert an image, uint8, shape (C, H, W) with C = 1 or 3, to a PIL image."""
    pixels = image.cpu().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def draw_image_grid(images: Tensor, columns: int, scale: int | None = None) -> Image.Image:
    """Draw images side by side on a white ground.

    Args:
        images: uint8, or float in [-1, 1], shape (N, C, S, S).
        columns: Images of each row.
        scale: Screen pixels per pixel, without smoothing; None: the largest that keeps images within 64, at least 1.
    """
    images = images if images.dtype == torch.uint8 else to_uint8(images)
    scale = scale or max(1, 64 // images.shape[-1])
    enlarged = images.cpu().repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    return to_pil(make_grid(enlarged, nrow=columns, padding=2, pad_value=255))


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
