"""One file per family; every model has `encode`, `decode`, `reconstruct` and `sample`."""

from vaegan.config.models import AEConfig, ModelConfig, VAEGANConfig

from .ae import AE
from .autoencoder import Autoencoder
from .posterior import Posterior
from .vae import VAE
from .vaegan import VAEGAN

__all__ = ["AE", "VAE", "VAEGAN", "Autoencoder", "Posterior", "build_model"]


def build_model(config: ModelConfig, image_shape: tuple[int, int, int], seed: int) -> Autoencoder:
    """The autoencoder of a run, with its initial weights.

    Args:
        config: The `model` section of the run's config.
        image_shape: (C, S, S) of the images.
        seed: Root of the initial weights.
    """
    if isinstance(config, VAEGANConfig):
        return VAEGAN(config, image_shape, seed)
    if isinstance(config, AEConfig):
        return AE(config, image_shape, seed)
    return VAE(config, image_shape, seed)
