"""Fit of a prior to the codes of the training images: a kernel density of values, or a histogram of indices."""

import math
from collections.abc import Callable
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaegan.data import Images
from vaegan.distributed import all_gather_object, broadcast_from_main, deal_batches, run_on_all_ranks
from vaegan.errors import Failure
from vaegan.gathered_rows import compute_shared_rows
from vaegan.models import Autoencoder
from vaegan.progress import ProgressCallback, ignore_progress

from .codes import encode_indices, encode_values, get_vqvae
from .prior import MAX_EXPONENT, CodePrior, PriorDescription

MAX_IMAGES = 100_000
"""Most training images whose codes are counted, evenly chosen."""
SCALE_IMAGES = 256
"""Most training images by whose codes the cells are chosen, evenly chosen."""
CELLS_PER_DEVIATION = 256
"""Least cells in the largest standard deviation of a table."""
MAX_CELLS = 8192
"""Most cells on either side of 0."""
WEIGHT = 2**30
"""Sum of the weights of the cells of a table and of its escape, but for rounding."""


@torch.no_grad()
def fit_prior(
    model: Autoencoder,
    weights: str,
    images: Images,
    batch_size: int,
    progress: ProgressCallback = ignore_progress,
) -> CodePrior:
    """Fit a prior to the codes of training images; all processes do this together.

    Values are counted in cells, and the counts smoothed by `smooth_counts`; indices are counted as they are.

    Args:
        model: The model, in evaluation mode.
        weights: SHA-256 of the file of its weights.
        images: Images that it was trained on.
        batch_size: Images of one forward pass.
        progress: Called with (images done, images in all) after each round.

    Raises:
        Failure: A code is not finite, or an image cannot be read.
    """
    positions, vqvae = images.select_evenly(MAX_IMAGES), get_vqvae(model)
    describe = partial(PriorDescription, weights=weights, images=len(positions))
    if vqvae is not None:

        def count_indices(indices: Tensor) -> Tensor:
            return torch.bincount(encode_indices(vqvae, images[indices]).flatten(), minlength=len(vqvae.codebook))

        counts = _sum_over(positions, batch_size, count_indices, progress)
        description = describe(kind="indices", exponent=0, deviation=0.0)
        return CodePrior(description, counts[None], torch.zeros(0, 1, dtype=torch.int32))

    def encode(indices: Tensor) -> Tensor:
        labels = images.get_labels(indices, model.classes if model.networks_take_labels else None)
        values = encode_values(model, images[indices], labels)
        if not values.isfinite().all():
            raise Failure("the code of a training image is not finite; look at the run")
        return values

    few = images.select_evenly(SCALE_IMAGES)
    values = compute_shared_rows(len(few), batch_size, lambda batch: encode(few[batch.start : batch.stop]))
    exponent, half, deviation = _choose_cells(values)
    count_values = partial(_count_values, exponent=exponent, half=half)
    counts = _sum_over(positions, batch_size, lambda indices: count_values(encode(indices)), progress)
    description = describe(kind="values", exponent=exponent, deviation=deviation)
    return broadcast_from_main(lambda: _smooth(description, counts))


def smooth_counts(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the density of the values that were counted in cells, float64, shape (2 H,), of sum 1 or, cut off, less.

    A Gaussian kernel has the width of Silverman 1986, eq. 3.31. The probability 2 / (n + 1) that one more value is
    smaller or larger than the n that were seen is spread by a Gaussian of twice their deviation.

    Args:
        counts: Values in each cell around 0, shape (2 H,).
    """
    number = int(counts.sum())
    centres = np.arange(len(counts)) - len(counts) // 2 + 0.5
    if number == 0:
        return np.full(len(counts), 1 / len(counts))
    density = counts / number
    mean = float(density @ centres)
    deviation = math.sqrt(float(density @ (centres - mean) ** 2) + 1 / 12)
    low, high = np.interp((0.25, 0.75), density.cumsum(), centres)
    width = 0.9 * min(deviation, max((high - low) / 1.349, 0.3)) * number**-0.2
    reach = min(math.ceil(5 * width), len(counts) - 1)
    kernel = np.exp(-((np.arange(-reach, reach + 1) / max(width, 1e-3)) ** 2) / 2)
    smooth = np.convolve(density, kernel / kernel.sum())[reach : reach + len(counts)]
    wide = np.exp(-(((centres - mean) / (2 * deviation)) ** 2) / 2)
    share = 2 / (number + 1)
    return cast("NDArray[np.float64]", (1 - share) * smooth + share * wide / wide.sum())


def _smooth(description: PriorDescription, counts: Tensor) -> CodePrior:
    """Return the prior of counted values, those outside the cells in the last column."""
    numbers = counts.numpy()
    densities = np.stack([smooth_counts(row[:-1]) for row in numbers])
    outside = (numbers[:, -1:] + 1) / (numbers.sum(1, keepdims=True) + 2)
    parts = densities * (1 - outside), outside
    cells, escapes = (torch.from_numpy((part * WEIGHT).astype(np.int32)) for part in parts)
    return CodePrior(description, cells, escapes.clamp_min(1))


def _choose_cells(values: Tensor) -> tuple[int, int, float]:
    """Return the exponent of the width of a cell, the number of cells on either side of 0, and the largest deviation.

    Args:
        values: Values of codes, float64, shape (n, T, P).
    """
    values = values.movedim(1, 0).flatten(1)
    largest = float(values.abs().max())
    deviation = float(values.std(1, correction=0).max())
    scale = deviation or largest or 1.0
    exponent = min(max(math.floor(math.log2(scale / CELLS_PER_DEVIATION)), -MAX_EXPONENT), MAX_EXPONENT)
    half = min(max(math.ceil(1.25 * largest / 2.0**exponent), CELLS_PER_DEVIATION), MAX_CELLS)
    return exponent, half, deviation


def _count_values(values: Tensor, exponent: int, half: int) -> Tensor:
    """Count values (n, T, P) in the cells of each table, and those outside in the last column, (T, 2 half + 1)."""
    cells = (values / 2.0**exponent).floor() + half
    outside = (cells < 0) | (cells >= 2 * half)
    columns = torch.where(outside, 2 * half, cells).long()
    tables, width = values.shape[1], 2 * half + 1
    places = columns + torch.arange(tables)[:, None] * width
    return torch.bincount(places.flatten(), minlength=tables * width).view(tables, width)


def _sum_over(
    positions: Tensor, batch_size: int, count: Callable[[Tensor], Tensor], progress: ProgressCallback
) -> Tensor:
    """Return the sum of the counts of all batches, int64, the same whatever the number of processes."""
    own: list[Tensor] = []
    for batch, done in deal_batches(len(positions), batch_size):
        work = partial(count, positions[batch.start : batch.stop])
        counts = run_on_all_ranks(work if batch else lambda: None)
        if counts is not None:
            own = [sum(own, start=counts)]
        progress(done, len(positions))
    parts = [part for rank in all_gather_object(own) for part in rank]
    return sum(parts[1:], start=parts[0])
