"""The autoencoder's training step: the mean squared error."""

from torch import nn

from vaegan.config.schema import Config
from vaegan.models import build_model

from .step import Backward, Batch, Networks, Report


def build(config: Config) -> dict[str, nn.Module]:
    """The autoencoder alone."""
    return {"autoencoder": build_model(config.model, config.data.image_shape, config.seed)}


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> Report:
    """mean (x - x')^2."""
    out = networks["autoencoder"](batch.images, batch.arithmetic)
    error = (batch.images - out.reconstruction).square().mean()
    backward(error)
    return Report({"loss/reconstruction": error.detach()})
