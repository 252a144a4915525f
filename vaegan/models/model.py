"""What every model is that a run trains and keeps."""

from collections import Counter
from typing import ClassVar

import torch
from torch import Tensor, nn

from vaegan.config.models import ConditionalConfig
from vaegan.config.section import Section


class Model(nn.Module):
    """A network that the `model` section of a config and the shape of the images describe.

    Args:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images.

    Attributes:
        config: As given.
        image_shape: As given.
    """

    pictures: ClassVar[tuple[str, ...]] = ()
    """Names of the pictures that training draws of it now and then."""

    def __init__(self, config: Section, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.config = config
        self.image_shape = image_shape

    @property
    def classes(self) -> int | None:
        """Classes that it makes images by; None: it is unconditional."""
        return self.config.labels if isinstance(self.config, ConditionalConfig) else None

    @property
    def described(self) -> Section:
        """`config`, with what training has found in the place of settings that it starts from."""
        return self.config


def autocast(images: Tensor, dtype: torch.dtype | None) -> torch.autocast:
    """The arithmetic of a training forward: ``dtype`` (bfloat16), or that of the weights where it is None."""
    return torch.autocast(images.device.type, dtype=dtype, enabled=dtype is not None)


def count_parameters(network: nn.Module) -> dict[str, int]:
    """How many parameters each part of a network has, and what it holds itself (a codebook, a scale)."""
    found: Counter[str] = Counter()
    for name, parameter in network.named_parameters():
        found[name.partition(".")[0]] += parameter.numel()
    return dict(found)
