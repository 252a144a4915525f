"""The discriminator that belongs to a model."""

from vaegan.config.models import AdversaryConfig
from vaegan.networks.discriminator import Discriminator
from vaegan.networks.initialise import initialise
from vaegan.networks.spectral_norm import add_spectral_norm


def build_discriminator(config: AdversaryConfig, image_shape: tuple[int, int, int], seed: int) -> Discriminator:
    """The discriminator of a run, with its initial weights.

    Args:
        config: The `model` section of the run's config.
        image_shape: (C, S, S) of the images.
        seed: Root of the initial weights.

    Raises:
        UserError: It has not the layer that the config asks for.
    """
    discriminator = Discriminator(config.discriminator, image_shape, config.scores, config.labels)
    initialise(discriminator, seed, "discriminator")
    if config.discriminator.spectral_norm:
        add_spectral_norm(discriminator, seed, "discriminator")
    return discriminator
