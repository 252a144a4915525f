"""The training step of a PixelCNN over the codes of a VQ-VAE: maximum likelihood."""

import torch.nn.functional as F
from torch import nn

from vaegan.config.schema import Config
from vaegan.data import Data
from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.models import build_model
from vaegan.models.pixelcnn import PixelCNN
from vaegan.models.vqvae import VQVAE
from vaegan.storage.loading import load
from vaegan.storage.runs import Run

from .base import Backward, Batch, Networks, StepOutput


def build(config: Config) -> dict[str, nn.Module]:
    """The frozen VQ-VAE and the prior, one model."""
    return {"prior": build_model(config.model, config.data.image_shape, config.seed)}


def check_inputs(config: Config) -> None:
    """See that the run of the VQ-VAE is there, whole, and of such images.

    Raises:
        UserError: It is not.
    """
    run_on_all_ranks(lambda: load_autoencoder(config))


def init_from_data(config: Config, networks: dict[str, nn.Module], data: Data) -> None:
    """Take over the VQ-VAE's weights."""
    network = networks["prior"]
    assert isinstance(network, PixelCNN)
    network.autoencoder.load_state_dict(run_on_all_ranks(lambda: load_autoencoder(config)).state_dict())


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> StepOutput:
    """-log p(codes), or -log p(codes | class), per place."""
    out = networks["prior"](batch.images, batch.autocast_dtype, batch.labels)
    surprise = F.cross_entropy(out.logits, out.indices, reduction="none").flatten(1).mean(1)
    backward(surprise.mean())
    return StepOutput({"loss/prior": surprise.detach().mean()})


def load_autoencoder(config: Config) -> VQVAE:
    """The VQ-VAE that `prior.autoencoder` names.

    Raises:
        UserError: It is not there, of another family, of other images, or has held out others of the same set.
    """
    assert config.prior is not None
    try:
        model = load(config.prior.autoencoder)
    except UserError as mistake:
        raise UserError(f"prior.autoencoder: {mistake}") from None
    if not isinstance(model, VQVAE):
        raise UserError(f"prior.autoencoder: {config.prior.autoencoder}: the run of a {type(model).__name__}, no VQVAE")
    if model.image_shape != config.data.image_shape:
        sizes = ["x".join(map(str, shape)) for shape in (model.image_shape, config.data.image_shape)]
        raise UserError(f"prior.autoencoder: {config.prior.autoencoder}: is for images of {sizes[0]}, not {sizes[1]}")
    own, other = config.data, Run(config.prior.autoencoder).config.data
    if (own.source, own.root, own.count) == (other.source, other.root, other.count):
        for key in ("validation", "test"):
            if (here := getattr(own, key)) != (there := getattr(other, key)):
                raise UserError(
                    f"prior.autoencoder: {config.prior.autoencoder}: was trained with data.{key}={there:g}, not"
                    f" {here:g}, and may have seen what is held out here; give both the same"
                )
    if model.config != getattr(config.model, "autoencoder", None):
        raise UserError(f"prior.autoencoder: {config.prior.autoencoder}: another VQ-VAE than model.autoencoder says")
    return model
