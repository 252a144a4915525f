"""Mean and standard deviation of codes of training images, by which models of the codes standardise them."""

import math
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from .config.section import Section
from .data import Images
from .errors import Failure, UserError
from .gathered_rows import compute_shared_rows
from .images import to_float
from .models.continuous import ContinuousAutoencoder
from .precision import full_precision
from .randomness import draw_normal

MAX_IMAGES = 1024
"""Most training images whose codes are measured, evenly chosen."""
BATCH_IMAGES = 8
"""Images of one forward pass, whatever the number of processes, so that they sum the same numbers in the same order;
few, so that large images fit beside a training."""

MIN_RELATIVE_STD = 1e-4
"""Least standard deviation of a dimension, relative to the largest one: a code may have dimensions that hardly vary."""


class CodeScale(Section):
    """Mean and standard deviation over the values of sampled codes of training images."""

    mean: float
    """Mean over all values of all codes."""
    std: Annotated[float, Field(gt=0)]
    """Standard deviation of all values of all codes around that mean."""
    images: Annotated[int, Field(ge=1)]
    """Number of images that were encoded."""


@torch.no_grad()
def measure_code_scale(model: ContinuousAutoencoder, images: Images, seed: int) -> CodeScale | None:
    """Measure mean and standard deviation of one posterior sample of each image; all processes do this together.

    Rombach et al. 2022, section G, divide codes by the standard deviation over all values of a first batch. Here up to
    1,024 evenly chosen training images are encoded.

    Args:
        model: The averaged model, in evaluation mode.
        images: The images that it was trained on.
        seed: Root of the posterior noise.

    Returns:
        The same on every process; None if a code is not finite, or all values are equal.

    Raises:
        Failure: An image cannot be read.
    """
    positions = images.select_evenly(MAX_IMAGES)
    sums = _sum_codes(model, images, positions, seed, lambda values: values.sum())
    count = len(positions) * model.code_size
    total, squares = sums.tolist()
    mean = total / count
    std = math.sqrt(max(0.0, squares / count - mean**2) * count / max(1, count - 1))
    return CodeScale(mean=mean, std=std, images=len(positions)) if 0 < std < math.inf else None


@torch.no_grad()
def measure_code_moments(model: ContinuousAutoencoder, images: Images, seed: int) -> tuple[Tensor, Tensor]:
    """Measure the moments of each dimension of a code that is a vector, or of each channel of a grid.

    They are those of one posterior sample of each of up to 1,024 evenly chosen training images; all processes measure
    them together.

    Args:
        model: The autoencoder, in evaluation mode.
        images: The images that it was trained on.
        seed: Root of the posterior noise.

    Returns:
        Means and standard deviations, float64, shape (d,) or (C,), on the CPU, the same on every process. No standard
        deviation is less than `MIN_RELATIVE_STD` of the largest one.

    Raises:
        UserError: All codes are the same.
        Failure: A code is not finite, or an image cannot be read.
    """
    positions, channels = images.select_evenly(MAX_IMAGES), model.code_shape[0]
    count = len(positions) * model.code_size // channels
    sums = _sum_codes(model, images, positions, seed, lambda values: values.unflatten(1, (channels, -1)).sum((0, 2)))
    if not sums.isfinite().all():
        raise Failure("the codes of the training images are not finite; use a run whose training did not diverge")
    mean, square = sums / count
    variance = (square - mean**2).clamp_min(0) * count / max(1, count - 1)
    if not (largest := variance.sqrt().max()):
        raise UserError("the codes of all training images are the same; train it longer", on_all_ranks=True)
    return mean, variance.sqrt().clamp_min(MIN_RELATIVE_STD * largest)


def _sum_codes(
    model: ContinuousAutoencoder, images: Images, positions: Tensor, seed: int, add: Callable[[Tensor], Tensor]
) -> Tensor:
    """Sum sampled codes of images and their squares, float64, shape (2, ...), the same on every process.

    Args:
        model: The model, in evaluation mode.
        images: Its training images.
        positions: Those that are encoded, int64, shape (N,).
        seed: Root of the posterior noise.
        add: Sums codes (n, d), or their squares.
    """
    parameter = next(model.parameters())

    def sum_batch(batch: range) -> Tensor:
        indices = positions[batch.start : batch.stop]
        pixels = to_float(images[indices].to(parameter.device), parameter.dtype)
        with full_precision(parameter.device, deterministic=False):
            posterior = model.encode(pixels, images.get_labels(indices, model.classes))
        noise = torch.stack([draw_normal(posterior.mean.shape[1:], seed, "code scale", index) for index in batch])
        codes = posterior.sample(noise.to(posterior.mean)).double()
        return torch.stack([add(codes), add(codes.square())])[None].cpu()

    return compute_shared_rows(len(positions), BATCH_IMAGES, sum_batch).sum(0)
