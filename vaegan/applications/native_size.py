"""Reconstruction of images of any size, whole or in tiles that overlap, by models whose code is a grid."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

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
    check_tile_side(model, tile_side)
    padded = pad_to_grid(images, model.downsampling)
    height, width = images.shape[-2:]
    tiles = list_tiles(height, width, model.downsampling, tile_side)
    return join_tiles(tiles, lambda tile: model.reconstruct(tile.cut(padded), labels), height, width, progress)


def get_tile_side(given: int | None) -> int | None:
    """Return the side of tiles in pixels, None where images stay whole; users give 0 for that, None for the default."""
    return TILE_SIDE_PIXELS if given is None else given or None


def check_tile_side(model: ContinuousAutoencoder, tile_side: int | None, option: str | None = None) -> None:
    """Check that tiles are at least four times as large as the downsampling of a model.

    Args:
        model: Model whose code is a grid.
        tile_side: Side of the tiles, in pixels; None: there are none.
        option: Option that gives it, for the message; None: there is none.

    Raises:
        UserError: They are smaller.
    """
    least = 4 * model.downsampling
    if tile_side is not None and tile_side < least:
        name = f"tiles of {tile_side} pixels" if option is None else f"{option} {tile_side}"
        raise UserError(f"{name}: less than four times the downsampling; give {least} or more")


def pad_to_grid(images: Tensor, factor: int) -> Tensor:
    """Lengthen the sides of images (N, C, H, W) to multiples of a factor, by repeating the last row and column."""
    height, width = images.shape[-2:]
    padding = (0, -width % factor, 0, -height % factor)
    if not any(padding):
        return images
    floats = images if images.is_floating_point() else images.float()
    return F.pad(floats, padding, mode="replicate").to(images.dtype)


class Tile(NamedTuple):
    """A part of an image, and the weight of its pixels where it overlaps with others."""

    top: int
    """First row."""
    left: int
    """First column."""
    rows: Tensor
    """Weight of each row, float32, shape (h,)."""
    columns: Tensor
    """Weight of each column, float32, shape (w,)."""

    def cut(self, images: Tensor) -> Tensor:
        """Return the part of images (..., H, W), shape (..., h, w)."""
        return images[..., self.top : self.top + len(self.rows), self.left : self.left + len(self.columns)]


def list_tiles(height: int, width: int, factor: int, tile_side: int | None) -> list[Tile]:
    """List the tiles of an image, row by row; a single one if it stays whole.

    Args:
        height: Rows of the image, without padding.
        width: Columns of the image, without padding.
        factor: Tiles begin at multiples of it, and their sides are multiples of it.
        tile_side: Images with a longer side are taken apart into tiles of at most this side, in pixels; None: no image
            is.
    """
    lengths = [length + -length % factor for length in (height, width)]
    if tile_side is None or max(height, width) <= tile_side:
        return [Tile(0, 0, *map(torch.ones, lengths))]
    parts = [list(_cut_axis(length, tile_side // factor * factor, factor)) for length in lengths]
    return [Tile(top, left, rows, columns) for (top, rows), (left, columns) in product(*parts)]


def join_tiles(
    tiles: Sequence[Tile], make: Callable[[Tile], Tensor], height: int, width: int,
    progress: ProgressCallback = ignore_progress,
) -> Tensor:  # fmt: skip
    """Make the pixels of tiles, and blend them into images, shape (N, C, H, W), on the device of the tiles.

    Args:
        tiles: Tiles of images, as `list_tiles` has listed them.
        make: Returns the pixels of a tile, shape (N, C, h, w).
        height: Rows H of the images, without padding.
        width: Columns W of the images, without padding.
        progress: Called with (tiles done, tiles in all).
    """
    first = make(tiles[0])
    if len(tiles) == 1:
        progress(1, 1)
        return first[..., :height, :width]
    last = tiles[-1]
    sides = last.top + len(last.rows), last.left + len(last.columns)
    total = torch.zeros(*first.shape[:2], *sides, dtype=first.dtype)
    for number, tile in enumerate(tiles):
        made = make(tile) if number else first
        weights = (tile.rows[:, None] * tile.columns).to(made.dtype)
        tile.cut(total).add_(made.cpu() * weights)
        progress(number + 1, len(tiles))
    return total[..., :height, :width].to(first.device)


def _cut_axis(length: int, tile_side: int, factor: int) -> Iterator[tuple[int, Tensor]]:
    """Yield the first pixel and the weights, float32, of each tile along an axis; a pixel's weights add up to 1.

    Args:
        length: Pixels of the axis, a multiple of ``factor``.
        tile_side: Pixels of a tile, a multiple of ``factor``.
        factor: Tiles begin at multiples of it.
    """
    if length <= tile_side:
        yield 0, torch.ones(length)
        return
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
