"""The part of the `model` section that describes encoder and decoder, by the kind of code that is between them."""

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from vaegan.errors import UserError
from vaegan.text import format_value

from .section import INTEGER, Section

NetworkKind = Literal["mlp", "conv", "antialiased", "resnet", "inverted_residual"]
"""Kind of the layers of an encoder, decoder or discriminator."""
Width = Annotated[int, Field(ge=8, le=4096, multiple_of=8)]
Depth = Annotated[int, Field(ge=1, le=16)]
ImageShape = tuple[int, int, int]
"""(C, H, W) of images."""


class DiffusersClass(NamedTuple):
    """An autoencoder of the package diffusers."""

    gaussian: bool
    """True if its encoder gives a Gaussian posterior, False if it gives one code."""
    blocks_key: str
    """Key of its config with the channels of each resolution of the encoder."""
    block_count: int
    """Number of resolutions without that key."""
    latent_channels: int
    """Channels of the code without the key `latent_channels`."""


DIFFUSERS_CLASSES = {
    "AutoencoderKL": DiffusersClass(True, "block_out_channels", 1, 4),
    "AsymmetricAutoencoderKL": DiffusersClass(True, "down_block_out_channels", 1, 4),
    "AutoencoderTiny": DiffusersClass(False, "encoder_block_out_channels", 4, 4),
    "AutoencoderDC": DiffusersClass(False, "encoder_block_out_channels", 6, 32),
}
"""Autoencoders of diffusers that can be trained, by the names of their classes. Others are refused, since what their
`encode` returns is not known, or since they are not autoencoders of images."""


class AutoencoderConfig(Section):
    """Base of every family that encodes and decodes images."""


class ConditionalConfig(AutoencoderConfig):
    """Base of every family that can generate images by their class."""

    labels: Annotated[int, Field(ge=2, le=65536)] | None = None
    """Number of classes of a conditional model, as many as the data set has; None: unconditional."""


class ContinuousConfig(AutoencoderConfig):
    """Base of every encoder and decoder with a continuous code: one vector, or a grid of vectors."""

    def get_code_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return the shape of the code of images (C, H, W): (d,) of one vector, or (channels, h, w) of a grid.

        Raises:
            UserError: There is no such code of images of this shape.
        """
        raise NotImplementedError


class VectorConfig(ContinuousConfig):
    """Encoder and decoder whose code is one vector."""

    code: Literal["vector", "grid"] = "vector"
    """Kind of the code z: one `vector`, or a `grid` of vectors."""
    network: NetworkKind = "conv"
    """`mlp`: fully connected; `conv`: plain convolutions, strided where the resolution changes; `antialiased`: the same
    with a filter there, which leaves no grid of lines (Zhang 2019); `resnet`: residual blocks; `inverted_residual`:
    inverted residual blocks with grouped convolutions and bilinear resampling, without a norm (Huang et al. 2024)."""
    width: Width = 32
    """Channels at full resolution, doubled at each halving up to 8 times as many; mlp: units of each hidden layer."""
    depth: Depth = 1
    """Convolutions or blocks at each resolution; mlp: hidden layers."""
    latent_size: Annotated[int, Field(ge=1, le=65536)] = 64
    """Dimensions of the code z."""

    @model_validator(mode="after")
    def _check_code(self) -> "VectorConfig":
        if self.code == "grid":
            name = type(self).__name__
            raise ValueError(f"model.code: {name} has the settings of a code of one vector; take Grid{name}")
        return self

    def get_code_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return (d,)."""
        return (self.latent_size,)


class GridConfig(ContinuousConfig):
    """Encoder and decoder without linear layers, whose code is a grid of vectors."""

    code: Literal["grid"]
    """Kind of the code z."""
    network: Literal["conv", "antialiased", "resnet", "inverted_residual"] = "resnet"
    """`conv`: plain convolutions, strided where the resolution changes; `antialiased`: the same with a filter there
    (Zhang 2019); `resnet`: residual blocks; `inverted_residual`: the blocks of Huang et al. 2024."""
    width: Width = 32
    """Channels at full resolution, doubled at each halving up to 8 times as many."""
    depth: Depth = 1
    """Blocks at each resolution."""
    downsampling: Annotated[Literal[2, 4, 8, 16, 32], INTEGER] = 8
    """Side of the images divided by that of the grid."""
    code_channels: Annotated[int, Field(ge=1, le=4096)] = 4
    """Size of the vector at each place of the grid."""
    attention: bool = False
    """Self-attention among the places of the grid, in encoder and decoder."""

    def get_code_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return (channels, h, w).

        Raises:
            UserError: The side of the images is no multiple of the downsampling.
        """
        return self.code_channels, *divide_side(image_shape, self.downsampling, "model.downsampling")


class DiffusersConfig(ContinuousConfig):
    """Encoder and decoder of an autoencoder of the package diffusers, whose code is a grid of vectors."""

    code: Literal["grid"] = "grid"
    """Kind of the code z."""
    network: Literal["diffusers"]
    """`diffusers`: encoder and decoder of a model of that package; nothing else of the model is used."""
    diffusers: dict[str, Any]
    """Config of this model, with the keys of diffusers' own `config.json`; `_class_name` is the name of its class."""
    is_gaussian: ClassVar[bool]
    """True if the family takes a Gaussian posterior, False if it takes one code."""

    @model_validator(mode="after")
    def _check_class(self) -> "DiffusersConfig":
        name = self.diffusers.get("_class_name")
        if not isinstance(name, str) or name not in DIFFUSERS_CLASSES:
            problem = "missing" if name is None else f"got {format_value(name)}"
            raise ValueError(f"model.diffusers._class_name: {problem}; allowed: {' | '.join(DIFFUSERS_CLASSES)}")
        if self.diffusers_class.gaussian != self.is_gaussian:
            gives = "gives a Gaussian posterior; take model.family=vae or vaegan"
            remedy = gives if self.diffusers_class.gaussian else "gives no posterior; take model.family=ae"
            raise ValueError(f"model.diffusers._class_name: {name} {remedy}")
        if getattr(self, "labels", None) is not None:
            raise ValueError("model.labels: the networks of diffusers take no class; leave it out")
        if getattr(self, "likelihood", None) == "bernoulli":
            raise ValueError("model.likelihood: bernoulli takes bounded pixels; for diffusers give gaussian or laplace")
        blocks = self.diffusers.get(self.diffusers_class.blocks_key, [1])
        if not isinstance(blocks, list | tuple) or not blocks:
            key = self.diffusers_class.blocks_key
            raise ValueError(f"model.diffusers.{key}: got {format_value(blocks)}; allowed: list of integer")
        channels = self.diffusers.get("latent_channels", 1)
        if type(channels) is not int or channels < 1:
            raise ValueError(f"model.diffusers.latent_channels: got {format_value(channels)}; allowed: integer >= 1")
        return self

    @property
    def diffusers_class(self) -> DiffusersClass:
        """The class of diffusers."""
        return DIFFUSERS_CLASSES[self.diffusers["_class_name"]]

    @property
    def code_channels(self) -> int:
        """Size of the vector at each place of the grid."""
        return int(self.diffusers.get("latent_channels", self.diffusers_class.latent_channels))

    @property
    def downsampling(self) -> int:
        """Side of the images divided by that of the grid."""
        blocks = self.diffusers.get(self.diffusers_class.blocks_key)
        return int(2 ** ((self.diffusers_class.block_count if blocks is None else len(blocks)) - 1))

    def get_code_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return (channels, h, w).

        Raises:
            UserError: The side of the images is no multiple of the downsampling.
        """
        return self.code_channels, *divide_side(image_shape, self.downsampling, "model.diffusers: its downsampling")


def divide_side(image_shape: ImageShape, downsampling: int, name: str) -> tuple[int, int]:
    """Return the sides (h, w) of the grid that is the code of images.

    Args:
        image_shape: (C, H, W) of the images.
        downsampling: Side of the images divided by that of the grid.
        name: Name of the downsampling, for the message.

    Raises:
        UserError: The side of the images is no multiple of the downsampling.
    """
    for side in image_shape[1:]:
        if side % downsampling:
            raise UserError(f"{name}: {downsampling} does not divide the side of the images, {side}")
    return image_shape[1] // downsampling, image_shape[2] // downsampling
