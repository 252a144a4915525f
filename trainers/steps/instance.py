"""The instance term of a VAE-GAN's step, and its queues of past images' features."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vaegan.config.models import VAEGANFamilyConfig
from vaegan.errors import UserError
from vaegan.losses.instance import instance_nll
from vaegan.networks.sizes import get_channels

from .base import StepInput

MAX_QUEUE_SHARE = 0.25
"""Largest share of the training images in a queue."""
QUEUE_KEY = "instance_queue"
"""Beginning of the names of the queues, one for each layer, in the adaptive state and among the sums of a step."""


def check_queue(rows: int, images: int) -> None:
    """Check that a queue is short beside the training images, so that an image is rarely its own negative.

    Each pass draws the order of the images anew. With K of N images in the queue, a share of K² / 2 N² of the images
    therefore meet their own earlier features there: 3 % at `MAX_QUEUE_SHARE`.

    Args:
        rows: K.
        images: N.

    Raises:
        UserError: It is longer than `MAX_QUEUE_SHARE` of them.
    """
    most = int(MAX_QUEUE_SHARE * images)
    if rows > most:
        problem = f"{rows:,} of {images:,} training images, and many would be told from themselves"
        raise UserError(
            f"model.adversarial.instance_queue: {problem}; give at most {max(1, most):,}", on_all_ranks=True
        )


def init_queues(config: VAEGANFamilyConfig) -> dict[str, Tensor]:
    """Return an empty queue for each layer of the instance term, zeros of shape (K, channels), float64."""
    discriminator, rows = config.discriminator, config.adversarial.instance_queue
    is_mlp = discriminator.network == "mlp"
    return {
        f"{QUEUE_KEY}/{layer}": torch.zeros(
            rows, discriminator.width if is_mlp else get_channels(discriminator.width, layer - 1), dtype=torch.float64
        )
        for layer in discriminator.instance_layers
    }


def compute_instance_term(
    config: VAEGANFamilyConfig, batch: StepInput, reconstructions: Sequence[Tensor], images: Sequence[Tensor]
) -> Tensor:
    """Compute the instance term, a mean over the layers and the images, a scalar.

    Args:
        config: The `model` section of the run's config.
        batch: The real images, with the queues in the adaptive state.
        reconstructions: Means of the features of the reconstructions in each layer, shape (N, channels).
        images: The same means of the features of the real images.
    """
    nll, temperature = [], config.adversarial.instance_temperature
    for layer, ours, theirs in zip(config.discriminator.instance_layers, reconstructions, images, strict=True):
        nll.append(instance_nll(ours, theirs, batch.adaptive_state[f"{QUEUE_KEY}/{layer}"], temperature))
    return torch.stack(nll).mean()


def place_in_batch(
    config: VAEGANFamilyConfig, batch: StepInput, images: Sequence[Tensor], batch_size: int
) -> dict[str, Tensor]:
    """Return the means of the real images' features at their positions in the global batch, 0 elsewhere, by layer.

    Their sum over all micro-batches and processes is that of all images in the order of the batch.

    Args:
        config: The `model` section of the run's config.
        batch: The real images.
        images: Means of their features in each layer, shape (N, channels).
        batch_size: Images of the global batch.
    """
    places = {}
    for layer, means in zip(config.discriminator.instance_layers, images, strict=True):
        rows = torch.zeros(batch_size, means.shape[1], dtype=torch.float64, device=means.device)
        rows[batch.start : batch.start + len(means)] = means.double()
        places[f"{QUEUE_KEY}/{layer}"] = rows
    return places


def update_queues(adaptive_state: Mapping[str, Tensor], totals: Mapping[str, Tensor]) -> None:
    """Put the features of a step's images behind those of each queue, in place; the oldest leave it."""
    for key, queue in adaptive_state.items():
        if key.startswith(QUEUE_KEY):
            queue.copy_(torch.cat([queue, totals[key]])[-len(queue) :])
