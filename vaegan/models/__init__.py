"""Models, one file a family; every autoencoder has `encode`, `decode`, `reconstruct` and `sample`.

Each is built from keyword arguments, as in `VAE(image_shape=(1, 32, 32), latent_size=16)`, or from a run's config.
"""

from collections.abc import Callable, Mapping

import torch

from vaegan.config.models import ModelConfig
from vaegan.networks.given import GivenNetworks

from .ae import AE
from .autoencoder import Autoencoder
from .classifier import Classifier
from .flow import CONTINUOUS_CLASSES, Flow
from .ganvae import GANVAE
from .larsen import Larsen
from .model import Model
from .pixelcnn import PixelCNN
from .posterior import Posterior
from .vae import VAE
from .vaegan import VAEGAN
from .vqvae import VQVAE

__all__ = [
    "AE", "GANVAE", "VAE", "VAEGAN", "VQVAE", "Autoencoder", "Classifier", "Flow", "Larsen", "Model", "PixelCNN",
    "Posterior", "build_model",
]  # fmt: skip

MODEL_CLASSES: Mapping[str, Callable[..., Model]] = {
    **CONTINUOUS_CLASSES, "vqvae": VQVAE, "pixelcnn": PixelCNN, "flow": Flow, "classifier": Classifier,
}  # fmt: skip


def build_model(
    config: ModelConfig, image_shape: tuple[int, int, int], seed: int, networks: GivenNetworks | None = None
) -> Model:
    """Build the model of a run, with its initial weights.

    Args:
        config: The `model` section of the run's config.
        image_shape: (C, S, S) of the images.
        seed: Root of the initial weights.
        networks: Modules in the place of encoder and decoder, for families whose code is a vector.
    """
    given = {"networks": networks} if networks else {}
    with torch.random.fork_rng(devices=[]):  # constructors draw weights, which are then replaced
        return MODEL_CLASSES[config.family](config, image_shape, seed, **given)
