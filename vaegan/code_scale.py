"""Mean and standard deviation of the codes of a model with a grid, which latent-diffusion models scale codes by."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from .config.section import Section
from .data import Images
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
    positions, parameter = images.select_evenly(MAX_IMAGES), next(model.parameters())

    def sum_codes(batch: range) -> Tensor:
        indices = positions[batch.start : batch.stop]
        pixels = to_float(images[indices].to(parameter.device), parameter.dtype)
        with full_precision(parameter.device, deterministic=False):
            posterior = model.encode(pixels, images.get_labels(indices, model.classes))
        noise = torch.stack([draw_normal(posterior.mean.shape[1:], seed, "code scale", index) for index in batch])
        codes = posterior.sample(noise.to(posterior.mean)).double()
        return torch.stack([codes.sum(), codes.square().sum()])[None].cpu()

    sums = compute_shared_rows(len(positions), BATCH_IMAGES, sum_codes)
    count = len(positions) * model.code_size
    total, squares = sums.sum(0).tolist()
    mean = total / count
    std = math.sqrt(max(0.0, squares / count - mean**2) * count / max(1, count - 1))
    return CodeScale(mean=mean, std=std, images=len(positions)) if 0 < std < math.inf else None
