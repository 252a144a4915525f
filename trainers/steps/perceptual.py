"""LPIPS as a term of the loss, which the families with a likelihood in pixels share."""

import torch
from torch import Tensor

from vaegan.config.objectives import PerceptualConfig
from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.losses.perceptual import get_training_lpips_network, lpips_distance

from .base import Term


def check_perceptual_network(config: PerceptualConfig) -> None:
    """Check that the weights of the term's network exist, on all ranks alike.

    Raises:
        UserError: `model.perceptual` is above 0, and the file of weights is missing or damaged.
    """
    name = config.perceptual_network
    if not config.perceptual or name == "random":
        return
    try:
        run_on_all_ranks(lambda: get_training_lpips_network(name, torch.device("cpu")))
    except UserError as error:
        key = "model.perceptual_network"
        raise UserError(f"{key}: {error}; or give {key}=random", error.on_all_ranks) from None


def get_perceptual_terms(config: PerceptualConfig, images: Tensor, reconstruction: Tensor) -> dict[str, Term]:
    """Return the mean LPIPS distance of images from their reconstructions, as a term; {} if its weight is 0."""
    if not config.perceptual:
        return {}
    network = get_training_lpips_network(config.perceptual_network, images.device)
    return {"perceptual": Term(lpips_distance(network, images, reconstruction).mean(), config.perceptual)}
