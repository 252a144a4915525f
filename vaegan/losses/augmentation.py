"""Differentiable augmentation of what a discriminator sees, one policy for real and fake images alike."""

import torch
from torch import Tensor

DRAWS_PER_IMAGE = 10
"""Numbers that each image's augmentation is a function of."""
MAX_SHIFT_FRACTION = 1 / 8
"""Largest translation, of an image's side."""
CUTOUT_FRACTION = 1 / 2
"""Side of what is cut out, of an image's side."""


def augment(images: Tensor, noise: Tensor, probability: Tensor | float) -> Tensor:
    """DiffAugment (Zhao et al. 2020, section 3.2): colour, translation and cutout, each with a probability of its own.

    Brightness + U(-0.5, 0.5), saturation x U(0, 2) about the mean of a pixel's channels, contrast x U(0.5, 1.5) about
    the image's mean; translation by up to `MAX_SHIFT_FRACTION` of the side; a square of `CUTOUT_FRACTION` of the side, anywhere, is cut out.
    What is cut out or comes from outside is 0, grey. With probability 1 that is DiffAugment; as in ADA (Karras et al.
    2020, section 3) the discriminator's task does not leak into the images below about 0.8.

    Args:
        images: Shape (N, C, S, S) in [-1, 1].
        noise: Standard normal, shape (N, `DRAWS_PER_IMAGE`); image i depends on row i alone.
        probability: Of each of the three, in [0, 1].

    Returns:
        Shape (N, C, S, S), beyond [-1, 1] where brightness or contrast took it there; differentiable twice.
    """
    uniform = torch.special.ndtr(noise)
    colour, translation, cutout = (uniform[:, :3] < probability).unbind(1)
    brightness, saturation, contrast = (
        torch.where(colour, scale * (uniform[:, index] - 0.5), 0)[:, None, None, None]
        for index, scale in ((3, 1), (4, 2), (5, 1))
    )
    images = images + brightness
    images = images + saturation * (images - images.mean(1, keepdim=True))
    images = images + contrast * (images - images.mean((1, 2, 3), keepdim=True))

    side = images.shape[-1]
    place = torch.arange(side, device=images.device)
    shifts = torch.where(
        translation[:, None],
        _whole(uniform[:, 6:8], -round(MAX_SHIFT_FRACTION * side), round(MAX_SHIFT_FRACTION * side)),
        0,
    )
    rows, columns = (place - shifts[:, axis, None] for axis in (0, 1))
    inside = _within(rows, side)[:, :, None] & _within(columns, side)[:, None, :]
    every = torch.arange(len(images), device=images.device)[:, None, None]
    moved = images[every, :, rows.clamp(0, side - 1)[:, :, None], columns.clamp(0, side - 1)[:, None, :]].movedim(3, 1)

    hole = round(CUTOUT_FRACTION * side)
    first = _whole(uniform[:, 8:10], -(hole // 2), side - hole + hole // 2)
    hit = [_within(place - first[:, axis, None], hole) for axis in (0, 1)]
    cut = hit[0][:, :, None] & hit[1][:, None, :] & cutout[:, None, None]
    seen: Tensor = moved * (inside & ~cut)[:, None]
    return seen


def _whole(uniform: Tensor, low: int, high: int) -> Tensor:
    """Numbers from (0, 1) as whole ones from ``low`` to ``high``, all equally likely."""
    return (low + (uniform * (high - low + 1)).long()).clamp_max(high)


def _within(places: Tensor, size: int) -> Tensor:
    return (places >= 0) & (places < size)
