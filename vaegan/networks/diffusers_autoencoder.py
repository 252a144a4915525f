"""Encoder and decoder of an autoencoder of the package diffusers; nothing else of that package is used.

Their parameters have the names that they have in diffusers, behind `encoder.` and `decoder.`.
"""

import inspect
import json
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from vaegan.config.architectures import DIFFUSERS_CLASSES, DiffusersConfig, ImageShape
from vaegan.errors import UserError
from vaegan.extras import check_packages
from vaegan.randomness import seed_global_generator
from vaegan.text import shorten, to_one_line

from .autoencoder import ImageDecoder

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class DiffusersEncoder(nn.Module):
    """Network from an image to the parameters of its posterior, or to its code if its class gives no posterior.

    Args:
        model: The autoencoder of diffusers, whose modules are taken.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder, self.quant_conv = model.encoder, getattr(model, "quant_conv", None)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the parameters of the posteriors, shape (N, 2 C', h, w), or the codes, shape (N, C', h, w).

        Args:
            images: Shape (N, C, H, W) in [-1, 1], the sides multiples of the downsampling.
            labels: Ignored.
        """
        parameters: Tensor = self.encoder(images)
        return parameters if self.quant_conv is None else self.quant_conv(parameters)


class DiffusersDecoder(ImageDecoder):
    """Network from a grid of vectors to an image, whose pixels are not bounded.

    Args:
        model: The autoencoder of diffusers, whose modules are taken.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.post_quant_conv, self.decoder = getattr(model, "post_quant_conv", None), model.decoder

    def pre_tanh(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the images of codes (N, C', h, w), shape (N, C, f h, f w)."""
        pixels: Tensor = self.decoder(codes if self.post_quant_conv is None else self.post_quant_conv(codes))
        return pixels.to(codes.dtype)

    def bound(self, pixels: Tensor) -> Tensor:
        """Return the pixels as they are."""
        return pixels

    def get_last_layer(self) -> Tensor:
        """Return the weight of the last layer, a parameter, at which the adaptive weight compares gradients."""
        last: Any = self.decoder.layers[-1] if hasattr(self.decoder, "layers") else self.decoder.conv_out
        weight: Tensor = last.weight
        return weight


def build_diffusers_encoder(config: DiffusersConfig, image_shape: ImageShape, seed: int) -> DiffusersEncoder:
    """Build the encoder of a class of diffusers, with weights that are a function of the seed.

    Args:
        config: The `model` section of the run's config.
        image_shape: (C, S, S) of the images.
        seed: Root of the initial weights.

    Raises:
        UserError: diffusers is not installed, refuses the config, or the networks are not for such images.
    """
    return _initialise(DiffusersEncoder(build_diffusers_model(config, image_shape)), seed, "encoder")


def build_diffusers_decoder(config: DiffusersConfig, image_shape: ImageShape, seed: int) -> DiffusersDecoder:
    """Build the decoder of a class of diffusers, with the arguments of `build_diffusers_encoder`."""
    decoder = DiffusersDecoder(build_diffusers_model(config, image_shape))
    if (conditions := getattr(decoder.decoder, "condition_encoder", None)) is not None:
        conditions.requires_grad_(False)  # of inpainting, which nothing here trains
    return _initialise(decoder, seed, "decoder")


def build_diffusers_model(config: DiffusersConfig, image_shape: ImageShape) -> Any:
    """Build an autoencoder of diffusers for images, with weights that no seed determines.

    Args:
        config: The `model` section of the run's config.
        image_shape: (C, S, S) of the images; the channels are added to the config where it does not have them.

    Raises:
        UserError: diffusers is not installed, refuses the config, or the networks are not for such images.
    """
    code_shape = config.get_code_shape(image_shape)
    kind, settings = get_diffusers_class(config), complete_settings(config, image_shape)
    from diffusers.models import attention_processor as module_of_attention

    attention_processor: Any = module_of_attention
    name = config.diffusers["_class_name"]
    try:
        with torch.random.fork_rng(devices=[]):
            model = kind(**settings)
        made_shapes = _compute_shapes(kind, json.dumps(settings, sort_keys=True), code_shape, image_shape)
    except Exception as error:  # what a wrong config raises is not documented
        raise UserError(f"model.diffusers: {name} refuses its config: {to_one_line(error)}") from None
    for made, needed in zip(made_shapes, (code_shape, image_shape), strict=True):
        if made != needed:
            sides = "x".join(map(str, made)), "x".join(map(str, needed))
            raise UserError(f"model.diffusers: {name} makes {sides[0]} with this config where {sides[1]} are needed")
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise UserError(
                f"model.diffusers: {name} has a BatchNorm with this config, which ties an image to its batch"
            )
        if isinstance(module, attention_processor.Attention):
            module.set_processor(attention_processor.AttnProcessor2_0())  # others compute in float32
    return model


@cache
def _compute_shapes(
    kind: Any, settings: str, code_shape: tuple[int, ...], image_shape: ImageShape
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of the code of an image and of the image of a code, which a model on the meta device makes.

    Args:
        kind: The class of the model.
        settings: Arguments of its constructor, as JSON.
        code_shape: (C, h, w) of the code that is decoded; the code that is made has as many channels at most.
        image_shape: (C, S, S) of the image that is encoded.
    """
    with torch.device("meta"), torch.no_grad():
        model = kind(**json.loads(settings))
        codes = DiffusersEncoder(model)(torch.zeros(1, *image_shape))[:, : code_shape[0]]
        pixels = DiffusersDecoder(model).pre_tanh(torch.zeros(1, *code_shape))
    return tuple(codes.shape[1:]), tuple(pixels.shape[1:])


def get_diffusers_class(config: DiffusersConfig) -> Any:
    """Return the class of diffusers that a config names.

    Raises:
        UserError: diffusers is not installed.
    """
    check_packages(["diffusers"])
    import diffusers  # it takes seconds

    assert config.diffusers["_class_name"] in DIFFUSERS_CLASSES
    return getattr(diffusers, config.diffusers["_class_name"])


def complete_settings(config: DiffusersConfig, image_shape: ImageShape) -> dict[str, Any]:
    """Return every argument of the constructor of a class of diffusers, with its defaults.

    Args:
        config: The `model` section of the run's config.
        image_shape: (C, S, S) of the images; the channels are added where the config does not have them.

    Raises:
        UserError: diffusers is not installed, the class does not know a key, or the images have other channels.
    """
    name = config.diffusers["_class_name"]
    parameters = list(inspect.signature(get_diffusers_class(config).__init__).parameters.values())[1:]
    defaults = {parameter.name: parameter.default for parameter in parameters}
    settings = {key: value for key, value in config.diffusers.items() if not key.startswith("_")}
    if unknown := [key for key in settings if key not in defaults]:
        problem = f"unknown key of {name}; allowed: {', '.join(defaults)}"
        raise UserError(f"model.diffusers.{shorten(unknown[0])}: {problem}")
    for key in ("in_channels", "out_channels"):
        if key in defaults and settings.setdefault(key, image_shape[0]) != image_shape[0]:
            problem = f"{settings[key]}, but the images have {image_shape[0]} channels"
            raise UserError(f"model.diffusers.{key}: {problem}; leave it out, or set data.channels")
    return defaults | settings


def _initialise(network: NetworkT, seed: int, name: str) -> NetworkT:
    """Draw the weights of a network as its layers do by themselves, as a function of ``seed`` and ``name`` alone."""
    if all(weight.is_meta for weight in network.parameters()):
        return network
    network.float()
    with seed_global_generator(seed, "initialise", name):
        for layer in network.modules():
            if callable(reset := getattr(layer, "reset_parameters", None)):
                reset()
    return network
