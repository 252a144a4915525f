"""Reconstruction of images of any size, whole or in tiles that overlap, by models whose code is a grid."""

from collections.abc import Iterator
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.errors import UserError
from vaegan.models import Autoencoder
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.models.inputs import Labels
from vaegan.progress import ProgressCallback, ignore_progress

TILE_SIDE_PIXELS = 1024
"""Side of the tiles of larger images, unless another is chosen."""
OVERLAP = 0.25
"""Part of a tile's side that its neighbour covers too."""


def check_takes_any_size(model: Autoencoder, name: object = None) -> ContinuousAutoencoder:
    """Check that a model takes images of any size, and return it.

    Args:
        model: The model.
        name: Its name, with which the message starts; None: the message has none.

    Raises:
        UserError: Its code is no grid of vectors.
    """
    if isinstance(model, ContinuousAutoencoder) and model.has_grid:
        return model
    raise UserError(
        f"{'' if name is None else f'{name}: '}takes images of {model.image_shape[1]} pixels alone; a model of another"
        " size takes a code of its own kind, model.code=grid or model.network=diffusers"
    )


def get_least_tile_side(model: ContinuousAutoencoder) -> int:
    """Return the side of the smallest tiles of a model whose code is a grid, in pixels: four times its downsampling."""
    return 4 * model.downsampling


@torch.no_grad()
def reconstruct_at_native_size(
    model: ContinuousAutoencoder,
    images: Tensor,
    labels: Labels = None,
    tile_side: int | None = TILE_SIDE_PIXELS,
    progress: ProgressCallback = ignore_progress,
) -> Tensor:
    """Decode the posterior means of images of any size, shape (N, C, H, W) in [-1, 1], whole or tile by tile.

    Sides that are no multiple of the downsampling are lengthened by repeating the last row or column, and cut again.
    Tiles that overlap are blended linearly. A tile's normalisation and attention see the tile alone, so that tiles do
    not give the pixels of the whole image, but memory does not grow with the image.

    Args:
        model: Model in evaluation mode whose code is a grid.
        images: Shape (N, C, H, W) in [-1, 1], or uint8 pixels.
        labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.
        tile_side: Images with a longer side are taken apart into tiles of this side, in pixels; None: no image is.
        progress: Called with (tiles done, tiles in all).

    Raises:
        UserError: ``tile_side`` is less than four times the downsampling, or the images or labels are not those that
            the model takes.
    """
    factor, (height, width) = model.downsampling, images.shape[-2:]
    if tile_side is not None and tile_side < (least := get_least_tile_side(model)):
        raise UserError(f"tiles of {tile_side} pixels: less than four times the downsampling; give {least} or more")
    padding = (0, -width % factor, 0, -height % factor)
    floats = images if images.is_floating_point() else images.float()
    padded = F.pad(floats, padding, mode="replicate").to(images.dtype) if any(padding) else images
    if tile_side is None or max(height, width) <= tile_side:
        made = model.reconstruct(padded, labels)
        progress(1, 1)
        return made[..., :height, :width]
    parts = [list(_cut_axis(length, tile_side // factor * factor, factor)) for length in padded.shape[-2:]]
    total = torch.zeros(padded.shape, dtype=next(model.parameters()).dtype)
    for done, ((top, rows), (left, columns)) in enumerate(product(*parts), start=1):
        area = (..., slice(top, top + len(rows)), slice(left, left + len(columns)))
        tile = model.reconstruct(padded[area], labels).cpu()
        total[area] += tile * (rows[:, None] * columns).to(tile.dtype)
        progress(done, len(parts[0]) * len(parts[1]))
    return total[..., :height, :width].to(next(model.parameters()).device)


def _cut_axis(length: int, tile_side: int, factor: int) -> Iterator[tuple[int, Tensor]]:
    """Yield the first pixel and the weights, float32, of each tile along an axis; a pixel's weights add up to 1.

    Args:
        length: Pixels of the axis, a multiple of ``factor``.
        tile_side: Pixels of a tile, a multiple of ``factor``.
        factor: Tiles begin at multiples of it.
    """
    tile_side = min(length, tile_side)
    step = tile_side - max(factor, int(tile_side * OVERLAP) // factor * factor)
    starts = [*range(0, length - tile_side, step), length - tile_side]
    ramps = torch.zeros(len(starts), length)
    for number, start in enumerate(starts):
        ramp = torch.ones(tile_side)
        if number > 0:
            overlap = starts[number - 1] + tile_side - start
            ramp[:overlap] = (torch.arange(overlap) + 0.5) / overlap
        if number + 1 < len(starts):
            overlap = start + tile_side - starts[number + 1]
            ramp[-overlap:] = torch.minimum(ramp[-overlap:], (overlap - 0.5 - torch.arange(overlap)) / overlap)
        ramps[number, start : start + tile_side] = ramp
    ramps /= ramps.sum(0)
    for start, ramp in zip(starts, ramps, strict=True):
        yield start, ramp[start : start + tile_side]
