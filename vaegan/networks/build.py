"""The networks of a run: those that its config describes, with their initial weights, or given modules instead."""

import torch

from vaegan.config.models import GANConfig, VectorConfig

from .autoencoder import Decoder, Encoder
from .discriminator import Discriminator
from .given import GivenDecoder, GivenDiscriminator, GivenEncoder, GivenNetworks
from .initialise import initialise
from .spectral_norm import add_spectral_norm

ImageShape = tuple[int, int, int]


def build_encoder(
    config: VectorConfig, image_shape: ImageShape, code_parameters: int, classes: int | None, seed: int,
    networks: GivenNetworks,
) -> Encoder | GivenEncoder:  # fmt: skip
    """Build the encoder of a run.

    Args:
        config: The `model` section of the run's config.
        image_shape: (C, S, S) of the images.
        code_parameters: Number of outputs for each latent dimension.
        classes: Number of classes; None: unconditional.
        seed: Root of the initial weights.
        networks: Given modules by their names.
    """
    if "encoder" in networks:
        return GivenEncoder(networks["encoder"], takes_labels=classes is not None)
    return initialise(Encoder(config, image_shape, code_parameters, classes), seed, "encoder")


def build_decoder(
    config: VectorConfig, image_shape: ImageShape, classes: int | None, seed: int, networks: GivenNetworks
) -> Decoder | GivenDecoder:
    """Build the decoder of a run, with the arguments of `build_encoder`."""
    if "decoder" in networks:
        return GivenDecoder(networks["decoder"], takes_labels=classes is not None)
    return initialise(Decoder(config, image_shape, classes), seed, "decoder")


def build_discriminator(
    config: GANConfig, image_shape: ImageShape, seed: int, networks: GivenNetworks | None = None
) -> Discriminator | GivenDiscriminator:
    """Build the discriminator of a run.

    Args:
        config: The `model` section of the run's config.
        image_shape: (C, S, S) of the images.
        seed: Root of the initial weights.
        networks: Given modules by their names; None: none is given. A discriminator of a conditional model gets the
            labels if `model.discriminator.condition` is `projection`.

    Raises:
        UserError: `model.discriminator.layer` is beyond the last layer.
    """
    if networks and "discriminator" in networks:
        takes_labels = config.labels is not None and config.discriminator.condition == "projection"
        return GivenDiscriminator(networks["discriminator"], takes_labels)
    with torch.random.fork_rng(devices=[]):  # constructors draw weights, which are then replaced
        discriminator = Discriminator(config.discriminator, image_shape, config.score_count, config.labels)
    initialise(discriminator, seed, "discriminator")
    if config.discriminator.spectral_norm:
        add_spectral_norm(discriminator, seed, "discriminator")
    return discriminator
