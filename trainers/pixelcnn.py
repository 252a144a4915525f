"""The training step of a PixelCNN over the codes of a VQ-VAE: maximum likelihood."""

import torch.nn.functional as F
from torch import nn

from vaegan.config.schema import Config
from vaegan.data import Data
from vaegan.errors import Mistake
from vaegan.models import build_model
from vaegan.models.pixelcnn import PixelCNN
from vaegan.models.vqvae import VQVAE
from vaegan.processes import together
from vaegan.runs import Run, load

from .step import Backward, Batch, Networks, Report


def build(config: Config) -> dict[str, nn.Module]:
    """The frozen VQ-VAE and the prior, one model."""
    return {"prior": build_model(config.model, config.data.image_shape, config.seed)}


def ready(config: Config) -> None:
    """See that the run of the VQ-VAE is there, whole, and of such images.

    Raises:
        Mistake: It is not.
    """
    together(lambda: autoencoder_of(config))


def start(config: Config, networks: dict[str, nn.Module], data: Data) -> None:
    """Take over the VQ-VAE's weights."""
    network = networks["prior"]
    assert isinstance(network, PixelCNN)
    network.autoencoder.load_state_dict(together(lambda: autoencoder_of(config)).state_dict())


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> Report:
    """-log p(codes), or -log p(codes | class), per place."""
    out = networks["prior"](batch.images, batch.arithmetic, batch.labels)
    surprise = F.cross_entropy(out.logits, out.indices, reduction="none").flatten(1).mean(1)
    backward(surprise.mean())
    return Report({"loss/prior": surprise.detach().mean()})


def autoencoder_of(config: Config) -> VQVAE:
    """The VQ-VAE that `prior.autoencoder` names.

    Raises:
        Mistake: It is not there, of another family, of other images, or has held out others of the same set.
    """
    assert config.prior is not None
    try:
        model = load(config.prior.autoencoder)
    except Mistake as mistake:
        raise Mistake(f"prior.autoencoder: {mistake}") from None
    if not isinstance(model, VQVAE):
        raise Mistake(f"prior.autoencoder: {config.prior.autoencoder}: the run of a {type(model).__name__}, no VQVAE")
    if model.image_shape != config.data.image_shape:
        sizes = ["x".join(map(str, shape)) for shape in (model.image_shape, config.data.image_shape)]
        raise Mistake(f"prior.autoencoder: {config.prior.autoencoder}: is for images of {sizes[0]}, not {sizes[1]}")
    own, other = config.data, Run(config.prior.autoencoder).config.data
    if (own.source, own.root, own.count) == (other.source, other.root, other.count):
        for key in ("validation", "test"):
            if (here := getattr(own, key)) != (there := getattr(other, key)):
                raise Mistake(
                    f"prior.autoencoder: {config.prior.autoencoder}: was trained with data.{key}={there:g}, not"
                    f" {here:g}, and may have seen what is held out here; give both the same"
                )
    if model.config != getattr(config.model, "autoencoder", None):
        raise Mistake(f"prior.autoencoder: {config.prior.autoencoder}: another VQ-VAE than model.autoencoder says")
    return model
