"""The base of every model that a run trains and exports."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from vaegan.config.architectures import ConditionalConfig
from vaegan.config.load import merge, validate_config
from vaegan.config.models import CLASSES_BY_TAG, choose_model
from vaegan.config.section import Section
from vaegan.errors import UserError
from vaegan.text import format_value

from .inputs import prepare_images

SectionT = TypeVar("SectionT", bound=Section)


class Model(nn.Module):
    """A network that is built from the `model` section of a config and the shape of the images.

    Args:
        config: The `model` section of a run's config; None: the settings alone.
        image_shape: (C, S, S) of the images, S a multiple of 4.
        settings: Settings of the `model` section, which replace those of `config`; the others have their defaults.

    Raises:
        UserError: `image_shape` is missing or is no such shape, `config` is not the family's, or a setting is wrong.

    Attributes:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images.
    """

    config_class: ClassVar[type[Section]]
    """Class of the `model` section of the family."""
    grid_names: ClassVar[tuple[str, ...]] = ()
    """Names of the image grids that training draws of the model."""

    def __init__(self, config: Section | None, image_shape: Sequence[int] | None, **settings: Any) -> None:
        super().__init__()
        self.config = make_config(self.config_class, config, settings)
        self.image_shape = check_image_shape(image_shape)

    def extra_repr(self) -> str:
        """Return the shape of the images and the settings that are not the defaults, as the constructor takes them."""
        settings = self.config.model_dump(exclude_defaults=True)
        return ", ".join(f"{name}={value!r}" for name, value in {"image_shape": self.image_shape, **settings}.items())

    @property
    def classes(self) -> int | None:
        """Number of classes of a conditional model; None: the model is unconditional."""
        return self.config.labels if isinstance(self.config, ConditionalConfig) else None

    @property
    def trained_config(self) -> Section:
        """The config with trained values in place of the settings that they start from."""
        return self.config

    def prepare_images(self, images: Any, check_values: bool = True) -> Tensor:
        """Return images as the networks take them: uint8 pixels converted to [-1, 1], others checked.

        Args:
            images: Shape (N, C, S, S) in [-1, 1], of the model's dtype and device, or uint8 pixels.
            check_values: Whether floats are looked at; those on an accelerator never are.

        Raises:
            UserError: They are no such images.
        """
        return prepare_images(images, self.image_shape, next(self.parameters()), check_values)

    @staticmethod
    def autocast(images: Tensor, dtype: torch.dtype | None) -> torch.autocast:
        """Return the autocast context of a training forward on the images' device.

        Args:
            images: Images or codes that the forward starts from.
            dtype: Autocast type (bfloat16); None: no autocast, the arithmetic is in the type of the weights.
        """
        return torch.autocast(images.device.type, dtype=dtype, enabled=dtype is not None)


def make_config(schema: type[SectionT], config: Section | None, settings: Mapping[str, Any]) -> SectionT:
    """Return the config of a model, made of a config and of settings that replace its own.

    Args:
        schema: Class of the config.
        config: Config of that class; None: `settings` alone.
        settings: Settings by name, nested as in YAML or as sections.

    Raises:
        UserError: `config` is of another class, or a setting is wrong or a module.
    """
    title = schema.__name__.removesuffix("Config").removesuffix("Family")
    if config is not None and not isinstance(config, schema):
        given = type(config).__name__
        raise UserError(f"config: {given}; give a {title}Config, or settings by name, such as width=16")
    for name, value in settings.items():
        if isinstance(value, nn.Module):
            raise UserError(f"{name}: a module; give it as networks={{{name!r}: ...}}")
    if config is not None and not settings:
        return config
    tree = {} if config is None else config.model_dump(mode="json")
    plain = {
        name: value.model_dump(mode="json") if isinstance(value, Section) else value for name, value in settings.items()
    }
    tree = merge(tree, plain)
    tag = choose_model({**tree, "family": schema.model_fields["family"].default})
    kind = CLASSES_BY_TAG.get(str(tag), schema)
    return validate_config(kind if issubclass(kind, schema) else schema, tree, title)


def check_image_shape(shape: Sequence[int] | None) -> tuple[int, int, int]:
    """Return the shape (C, S, S) of a model's images as a tuple.

    Raises:
        UserError: It is missing, or not (C, S, S) with S a multiple of 4.
    """
    allowed = "(C, S, S), S a multiple of 4, such as (3, 32, 32)"
    if shape is None:
        raise UserError(f"image_shape: missing; give {allowed}")
    sizes = tuple(shape) if isinstance(shape, Sequence) else ()
    match sizes:
        case int(channels), int(side), int(width) if channels > 0 and side > 0 and side == width and side % 4 == 0:
            return channels, side, side
    raise UserError(f"image_shape: got {format_value(shape)}; allowed: {allowed}")


def count_parameters(network: nn.Module) -> dict[str, int]:
    """Count the parameters of each direct child of a network, and of each parameter of its own (a codebook, a scale).

    Returns:
        Number of parameters by the child's or parameter's name.
    """
    counts: Counter[str] = Counter()
    for name, parameter in network.named_parameters():
        counts[name.partition(".")[0]] += parameter.numel()
    return dict(counts)
