"""The autoencoder's training step: the mean squared error, of a denoising one from images with noise."""

from collections.abc import Mapping

from torch import nn

from vaegan.config.models import AEConfig
from vaegan.config.schema import Config
from vaegan.models import build_model

from .base import Backward, Batch, Networks, StepOutput, family_config


def build(config: Config) -> dict[str, nn.Module]:
    """The autoencoder alone."""
    return {"autoencoder": build_model(config.model, config.data.image_shape, config.seed)}


def get_noise_shapes(config: Config) -> Mapping[str, tuple[int, ...]]:
    """What a denoising autoencoder's images are spoilt with."""
    return {"denoising": config.data.image_shape} if family_config(config, AEConfig).denoising else {}


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> StepOutput:
    """mean (x - x')^2, where x' is made of x, or of x with noise (Vincent et al. 2008, eq. 5)."""
    shown, amount = batch.images, family_config(config, AEConfig).denoising
    if amount:
        shown = shown + amount * batch.noise["denoising"]
    out = networks["autoencoder"](shown, batch.autocast_dtype)
    error = (batch.images - out.reconstruction).square().mean()
    backward(error)
    return StepOutput({"loss/reconstruction": error.detach(), "reconstruction/mse": error.detach()})
