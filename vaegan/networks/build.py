"""The networks of a run: those that its config describes, with their initial weights, or given modules instead."""

import torch
from torch import nn

from vaegan.config.adversarial import DiscriminatorConfig
from vaegan.config.architectures import ContinuousConfig, DiffusersConfig, GridConfig, ImageShape, VectorConfig
from vaegan.config.models import GANConfig

from .autoencoder import Decoder, Encoder, ImageDecoder
from .diffusers_autoencoder import build_diffusers_decoder, build_diffusers_encoder
from .discriminator import (
    Discriminator,
    MultiScaleDiscriminator,
    PackedDiscriminator,
    PenalisedDiscriminator,
    ProjectedDiscriminator,
)
from .given import GivenDecoder, GivenDiscriminator, GivenEncoder, GivenNetworks
from .grid_autoencoder import GridDecoder, GridEncoder
from .initialise import initialise
from .spectral_norm import add_spectral_norm


def build_encoder(
    config: ContinuousConfig, image_shape: ImageShape, code_parameters: int, classes: int | None, seed: int,
    networks: GivenNetworks,
) -> nn.Module:  # fmt: skip
    """Build the encoder of a run.

    Args:
        config: The `model` section of the run's config.
        image_shape: (C, S, S) of the images.
        code_parameters: Number of outputs for each value of the code.
        classes: Number of classes; None: unconditional.
        seed: Root of the initial weights.
        networks: Given modules by their names.

    Raises:
        UserError: The side of the images is no multiple of the downsampling, or diffusers refuses its config.
    """
    if "encoder" in networks:
        return GivenEncoder(networks["encoder"], takes_labels=classes is not None)
    match config:
        case VectorConfig():
            return initialise(Encoder(config, image_shape, code_parameters, classes), seed, "encoder")
        case GridConfig():
            return initialise(GridEncoder(config, image_shape, code_parameters, classes), seed, "encoder")
        case DiffusersConfig():
            return build_diffusers_encoder(config, image_shape, seed)
    raise TypeError(type(config).__name__)


def build_decoder(
    config: ContinuousConfig, image_shape: ImageShape, classes: int | None, seed: int, networks: GivenNetworks
) -> ImageDecoder:
    """Build the decoder of a run, with the arguments of `build_encoder`."""
    if "decoder" in networks:
        return GivenDecoder(networks["decoder"], takes_labels=classes is not None)
    match config:
        case VectorConfig():
            return initialise(Decoder(config, image_shape, classes), seed, "decoder")
        case GridConfig():
            return initialise(GridDecoder(config, image_shape, classes), seed, "decoder")
        case DiffusersConfig():
            return build_diffusers_decoder(config, image_shape, seed)
    raise TypeError(type(config).__name__)


def _choose_kind(
    config: DiscriminatorConfig,
) -> type[Discriminator] | type[MultiScaleDiscriminator] | type[ProjectedDiscriminator]:
    if config.projected_layers:
        return ProjectedDiscriminator
    return Discriminator if config.scales == (1,) else MultiScaleDiscriminator


def build_discriminator(
    config: GANConfig, image_shape: ImageShape, seed: int, networks: GivenNetworks | None = None
) -> PenalisedDiscriminator:
    """Build the discriminator of a run.

    Args:
        config: The `model` section of the run's config.
        image_shape: (C, S, S) of the images.
        seed: Root of the initial weights.
        networks: Given modules by their names; None: none is given. A discriminator of a conditional model gets the
            labels if `model.discriminator.condition` is `projection`.

    Raises:
        UserError: A layer of `model.discriminator` is beyond the last one.
    """
    if networks and "discriminator" in networks:
        takes_labels = config.labels is not None and config.discriminator.condition == "projection"
        return GivenDiscriminator(networks["discriminator"], takes_labels)
    discriminator = build_plain_discriminator(config, image_shape)
    initialise(discriminator, seed, "discriminator")
    if config.discriminator.spectral_norm:
        add_spectral_norm(discriminator, seed, "discriminator")
    return discriminator


def build_plain_discriminator(config: GANConfig, image_shape: ImageShape) -> PenalisedDiscriminator:
    """Build the discriminator of a run before its initial weights and its spectral norm.

    Args:
        config: The `model` section of the run's config.
        image_shape: (C, S, S) of the images.

    Raises:
        UserError: A layer of `model.discriminator` is beyond the last one.
    """
    with torch.random.fork_rng(devices=[]):  # constructors draw weights, which are then replaced
        kind = _choose_kind(config.discriminator)
        (channels, height, width), packing = image_shape, config.discriminator.packing
        shape = packing * channels, height, width
        discriminator: PenalisedDiscriminator = kind(config.discriminator, shape, config.score_count, config.labels)
        if packing > 1:
            discriminator = PackedDiscriminator(discriminator, packing)
    return discriminator
