"""The codes of images as symbols: whole multiples of a step, or indices of codebook entries, and the images of both.

Symbols have the shape (N, T, P): N images, T tables (the dimensions of a vector, the channels of a grid, or 1 of
indices), and P positions under each table.
"""

import math

import torch
from torch import Tensor

from vaegan.applications.native_size import Tile, join_tiles, list_tiles, pad_to_grid
from vaegan.errors import Failure
from vaegan.images import to_float, to_uint8
from vaegan.latents.decoding import decode_rows
from vaegan.models import VQVAE, Autoencoder, PixelCNN
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.precision import full_precision

Size = tuple[int, int]
"""Height and width of an image, in pixels."""
MAX_SYMBOL = 2**52
"""Largest multiple of the step, which float64 holds with its neighbours."""


def get_vqvae(model: Autoencoder) -> VQVAE | None:
    """Return the VQ-VAE that a model is, or that a PixelCNN is a prior of; None: its codes are values."""
    if isinstance(model, PixelCNN):
        return model.autoencoder
    return model if isinstance(model, VQVAE) else None


def encode_values(model: Autoencoder, pixels: Tensor, labels: Tensor | None) -> Tensor:
    """Return the posterior means of images, float64, shape (N, T, P), on the CPU.

    Args:
        model: Model whose codes are vectors or grids, in evaluation mode.
        pixels: The images, uint8, shape (N, C, S, S).
        labels: Their classes, int64, shape (N,), for a model whose networks take them.
    """
    assert isinstance(model, ContinuousAutoencoder)
    parameter = next(model.parameters())
    with full_precision(parameter.device, deterministic=False):
        means = model.encode(to_float(pixels.to(parameter.device), parameter.dtype), labels).mean
    return means.reshape(len(pixels), model.code_shape[0], -1).to("cpu", torch.float64)


def encode_whole_image(
    model: ContinuousAutoencoder, pixels: Tensor, labels: Tensor | None, tile_side: int | None
) -> Tensor:
    """Return the posterior means of an image of any size, tile after tile, float64, shape (1, T, P), on the CPU.

    Args:
        model: Model whose code is a grid, in evaluation mode.
        pixels: The image, uint8, shape (1, C, H, W).
        labels: Its class, int64, shape (1,), for a model whose networks take it.
        tile_side: Side of the tiles of larger images, in pixels; None: images stay whole.
    """
    tiles = list_tiles(pixels.shape[2], pixels.shape[3], model.downsampling, tile_side)
    padded = pad_to_grid(pixels, model.downsampling)
    return torch.cat([encode_values(model, tile.cut(padded), labels) for tile in tiles], -1)


def decode_whole_image(
    model: ContinuousAutoencoder, symbols: Tensor, step: float, labels: Tensor | None, size: Size,
    tile_side: int | None,
) -> Tensor:  # fmt: skip
    """Decode the symbols of an image of any size, and return it, uint8, shape (1, C, H, W), on the CPU.

    Args:
        model: Model whose code is a grid, in evaluation mode.
        symbols: Multiples of the step, int64, shape (1, T, P).
        step: Width of a symbol.
        labels: Class of the image, int64, shape (1,), for a model whose networks take it.
        size: Height and width of the image.
        tile_side: Side of the tiles of larger images, in pixels; None: images stay whole.
    """
    parameter, factor = next(model.parameters()), model.downsampling
    tiles = list_tiles(*size, factor, tile_side)
    sides = [(len(tile.rows) // factor, len(tile.columns) // factor) for tile in tiles]
    parts = iter(zip(symbols.split([height * width for height, width in sides], -1), sides, strict=True))

    def make(tile: Tile) -> Tensor:
        part, sides = next(parts)
        return model.decode((part.double() * step).to(parameter).unflatten(-1, sides), labels)

    with full_precision(parameter.device, deterministic=False):
        return to_uint8(join_tiles(tiles, make, *size)).cpu()


def count_positions(model: ContinuousAutoencoder, size: Size, tile_side: int | None) -> int:
    """Return the number P of positions of the codes of an image of any size.

    Args:
        model: Model whose code is a grid.
        size: Height and width of the image.
        tile_side: Side of the tiles of larger images, in pixels; None: images stay whole.
    """
    tiles = list_tiles(*size, model.downsampling, tile_side)
    return sum(len(tile.rows) * len(tile.columns) for tile in tiles) // model.downsampling**2


def encode_indices(model: VQVAE, pixels: Tensor) -> Tensor:
    """Return the indices of the codebook entries of images, int64, shape (N, 1, P), on the CPU."""
    parameter = next(model.parameters())
    with full_precision(parameter.device, deterministic=False):
        indices = model.encode_indices(to_float(pixels.to(parameter.device), parameter.dtype))
    return indices.flatten(1)[:, None].cpu()


def quantise(values: Tensor, step: float) -> Tensor:
    """Return the whole multiple of a step that is nearest to each value, int64, of the shape of ``values``.

    Raises:
        Failure: A value is not finite, or so large that its neighbours are no longer told apart.
    """
    multiples = (values / step).round()
    if not (multiples.abs() < MAX_SYMBOL).all():  # nor NaN
        raise Failure("a code is not finite, or too large for the step; look at the run")
    return multiples.long()


def decode_symbols(model: Autoencoder, symbols: Tensor, step: float, labels: Tensor | None) -> Tensor:
    """Decode symbols, and return the images, uint8, shape (N, C, S, S), on the CPU.

    Args:
        model: Model in evaluation mode.
        symbols: Multiples of the step, or indices, int64, shape (N, T, P).
        step: Width of a symbol; not read of indices. Its multiples up to 2**24 cells are exact in float32.
        labels: Class of each image, int64, shape (N,); None: the networks take none.
    """
    vqvae = get_vqvae(model)
    if vqvae is not None:
        side = math.isqrt(symbols.shape[-1])
        return decode_rows(vqvae, symbols.reshape(-1, side, side), labels)
    return decode_rows(model, symbols.double() * step, labels)
