"""What a training will need, told without doing it."""

from dataclasses import dataclass

import torch

from vaegan.config.schema import Config
from vaegan.console import Console
from vaegan.models.model import sizes

from .base import FAMILIES
from .dividing import share


@dataclass(frozen=True)
class Plan:
    """The size of a run."""

    parameters: dict[str, int]
    """Of each part of the model (`encoder`, `decoder`) and of each network beside it (`discriminator`)."""
    weight_bytes: int
    """Weights of all networks, and the averaged copy of the model's."""
    optimizer_bytes: int
    """What the optimizer averages for each parameter that is trained: adam two things, rmsprop one."""
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
    model, *others = networks
    own = sizes(networks[model])
    parameters = own | {name: sum(sizes(networks[name]).values()) for name in others}
    size = torch.empty((), dtype=getattr(torch, config.train.dtype)).element_size()
    held = sum(parameters.values()) + sum(own.values())
    trained = sum(each.numel() for network in networks.values() for each in network.parameters() if each.requires_grad)
    kept = {"adam": 2, "rmsprop": 1}[config.train.optimizer]
    return Plan(parameters, size * held, kept * size * trained, part.stop - part.start)


def show(planned: Plan, console: Console) -> None:
    """Tell a person what a run would be."""
    every = {**planned.parameters, "all": sum(planned.parameters.values())}
    console.table(["network", "parameters"], [[name, f"{count:,}"] for name, count in every.items()])
    console.say(
        f"weights {planned.weight_bytes / 2**20:,.1f} MiB (with the averaged copy),"
        f" optimizer state {planned.optimizer_bytes / 2**20:,.1f} MiB,"
        f" {planned.images_per_process} images per step on each process; nothing was trained"
    )
