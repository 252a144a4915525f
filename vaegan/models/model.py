"""The base of every model that a run trains and exports."""

from collections import Counter
from typing import ClassVar

import torch
from torch import Tensor, nn

from vaegan.config.models import ConditionalConfig
from vaegan.config.section import Section


class Model(nn.Module):
    """A network that is built from the `model` section of a config and the shape of the images.

    Args:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images.

    Attributes:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images.
    """

    grid_names: ClassVar[tuple[str, ...]] = ()
    """Names of the image grids that training draws of the model."""

    def __init__(self, config: Section, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.config = config
        self.image_shape = image_shape

    @property
    def classes(self) -> int | None:
        """Number of classes of a conditional model; None: the model is unconditional."""
        return self.config.labels if isinstance(self.config, ConditionalConfig) else None

    @property
    def trained_config(self) -> Section:
        """The config with trained values in place of the settings that they start from."""
        return self.config

    @staticmethod
    def autocast(images: Tensor, dtype: torch.dtype | None) -> torch.autocast:
        """Return the autocast context of a training forward on the images' device.

        Args:
            images: Images or codes that the forward starts from.
            dtype: Autocast type (bfloat16); None: no autocast, the arithmetic is in the type of the weights.
        """
        return torch.autocast(images.device.type, dtype=dtype, enabled=dtype is not None)


def count_parameters(network: nn.Module) -> dict[str, int]:
    """Count the parameters of each direct child of a network, and of each parameter of its own (a codebook, a scale).

    Returns:
        Number of parameters by the child's or parameter's name.
    """
    counts: Counter[str] = Counter()
    for name, parameter in network.named_parameters():
        counts[name.partition(".")[0]] += parameter.numel()
    return dict(counts)
