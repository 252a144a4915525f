"""What a training will need, told without doing it."""

from dataclasses import dataclass

import torch
from torch import nn

from vaegan.config.schema import Config

from .base import FAMILIES
from .dividing import share


@dataclass(frozen=True)
class Plan:
    """The size of a run."""

    parameters: dict[str, int]
    """Trained numbers of each part: `encoder`, `decoder`, `discriminator`."""
    weight_bytes: int
    """Weights of all networks, and the averaged copy of the autoencoder's."""
    optimizer_bytes: int
    """Adam's two averages of each trained number."""
    images_per_process: int
    """Images of each optimizer step on each of the processes."""


def plan(config: Config, processes: int = 1) -> Plan:
    """Count a run's weights without allocating them.

    Args:
        config: The run.
        processes: How many would share it.

    Raises:
        Mistake: The processes cannot share the batch.
    """
    part = share(config.train, 0, processes)
    with torch.device("meta"):
        networks = FAMILIES[config.model.family].build(config)
    parts: dict[str, nn.Module] = dict(networks.pop("autoencoder").named_children()) | networks
    parameters = {name: sum(each.numel() for each in network.parameters()) for name, network in parts.items()}
    size = torch.empty((), dtype=getattr(torch, config.train.dtype)).element_size()
    trained = sum(parameters.values())
    averaged = parameters["encoder"] + parameters["decoder"]
    return Plan(parameters, size * (trained + averaged), 2 * size * trained, part.stop - part.start)
