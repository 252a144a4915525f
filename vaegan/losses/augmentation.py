"""Differentiable augmentation of a discriminator's inputs, one policy for real and fake images."""

import torch
from torch import Tensor

from vaegan.images import ALPHA_CHANNELS

DRAWS_PER_IMAGE = 10
"""Random numbers of each image's augmentation."""
MAX_SHIFT_FRACTION = 1 / 8
"""Largest translation, as a fraction of an image's side."""
CUTOUT_FRACTION = 1 / 2
"""Side of the cutout, as a fraction of an image's side."""


def augment(images: Tensor, noise: Tensor, probability: Tensor | float) -> Tensor:
    """Apply DiffAugment (Zhao et al. 2020, section 3.2): colour, translation and cutout, each with a probability.

    Colour: brightness + U(-0.5, 0.5), saturation x U(0, 2) about the mean of a pixel's channels, contrast x U(0.5, 1.5)
    about the image's mean. Translation: by up to `MAX_SHIFT_FRACTION` of the side. Cutout: a square of
    `CUTOUT_FRACTION` of the side, anywhere. Pixels that are cut out or come from outside are 0, grey. Probability 1 is
    DiffAugment; as in ADA (Karras et al. 2020, section 3) the augmentations do not leak into generated images below
    about 0.8.

    Args:
        images: Shape (N, C, S, S) in [-1, 1]; with C = 2 or 4 the last channel is alpha, which has no colour.
        noise: Standard normal, shape (N, `DRAWS_PER_IMAGE`); image i depends on row i alone.
        probability: Probability of each of the three, in [0, 1].

    Returns:
        Shape (N, C, S, S), beyond [-1, 1] where brightness or contrast exceed it; differentiable twice.
    """
    uniform = torch.special.ndtr(noise)
    colour, translation, cutout = (uniform[:, :3] < probability).unbind(1)
    brightness, saturation, contrast = (
        torch.where(colour, scale * (uniform[:, index] - 0.5), 0)[:, None, None, None]
        for index, scale in ((3, 1), (4, 2), (5, 1))
    )
    has_alpha = images.shape[1] in ALPHA_CHANNELS
    images, alpha = (images[:, :-1], images[:, -1:]) if has_alpha else (images, None)
    images = images + brightness
    images = images + saturation * (images - images.mean(1, keepdim=True))
    images = images + contrast * (images - images.mean((1, 2, 3), keepdim=True))
    images = images if alpha is None else torch.cat([images, alpha], 1)

    side = images.shape[-1]
    positions = torch.arange(side, device=images.device)
    limit = round(MAX_SHIFT_FRACTION * side)
    shifts = torch.where(translation[:, None], _to_integers(uniform[:, 6:8], -limit, limit), 0)
    rows, columns = (positions - shifts[:, axis, None] for axis in (0, 1))
    inside = _is_within(rows, side)[:, :, None] & _is_within(columns, side)[:, None, :]
    y, x = rows.clamp(0, side - 1)[:, :, None], columns.clamp(0, side - 1)[:, None, :]
    pixels = images.movedim(1, 3).flatten(1, 2)  # (N, S S, C): one gather, whose backward is one scatter
    sources = (y * side + x).flatten(1)[:, :, None].expand_as(pixels)
    translated = pixels.gather(1, sources).unflatten(1, (side, side)).movedim(3, 1)

    size = round(CUTOUT_FRACTION * side)
    first = _to_integers(uniform[:, 8:10], -(size // 2), side - size + size // 2)
    in_square = [_is_within(positions - first[:, axis, None], size) for axis in (0, 1)]
    cut = in_square[0][:, :, None] & in_square[1][:, None, :] & cutout[:, None, None]
    augmented: Tensor = translated * (inside & ~cut)[:, None]
    return augmented


def _to_integers(uniform: Tensor, low: int, high: int) -> Tensor:
    """Map uniform numbers from (0, 1) to integers from ``low`` to ``high``, all equally likely."""
    return (low + (uniform * (high - low + 1)).long()).clamp_max(high)


def _is_within(positions: Tensor, size: int) -> Tensor:
    return (positions >= 0) & (positions < size)
