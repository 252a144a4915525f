"""What a training will need, told without doing it."""

from dataclasses import dataclass

import torch

from vaegan.cli.console import Console
from vaegan.config.schema import Config
from vaegan.models.model import count_parameters

from .batch_partition import get_batch_slice
from .loop import STEPS


@dataclass(frozen=True)
class RunSize:
    """The size of a run."""

    parameters: dict[str, int]
    """Of each part of the model (`encoder`, `decoder`) and of each network beside it (`discriminator`)."""
    weight_bytes: int
    """Weights of all networks, and the averaged copy of the model's."""
    optimizer_bytes: int
    """What the optimizer averages for each parameter that is trained: adam two things, rmsprop one."""
    images_per_process: int
    """Images of each optimizer step on each of the processes."""


def estimate_size(config: Config, processes: int = 1) -> RunSize:
    """Count a run's weights without allocating them.

    Args:
        config: The run.
        processes: How many would share it.

    Raises:
        UserError: The processes cannot share the batch.
    """
    part = get_batch_slice(config.train, 0, processes)
    with torch.device("meta"):
        networks = STEPS[config.model.family].build(config)
    model, *others = networks
    own = count_parameters(networks[model])
    parameters = own | {name: sum(count_parameters(networks[name]).values()) for name in others}
    size = torch.empty((), dtype=getattr(torch, config.train.dtype)).element_size()
    held = sum(parameters.values()) + sum(own.values())
    trained = sum(each.numel() for network in networks.values() for each in network.parameters() if each.requires_grad)
    kept = {"adam": 2, "rmsprop": 1}[config.train.optimizer]
    return RunSize(parameters, size * held, kept * size * trained, part.stop - part.start)


def print_size(planned: RunSize, console: Console) -> None:
    """Tell a person what a run would be."""
    every = {**planned.parameters, "all": sum(planned.parameters.values())}
    console.table(["network", "parameters"], [[name, f"{count:,}"] for name, count in every.items()])
    console.say(
        f"weights {planned.weight_bytes / 2**20:,.1f} MiB (with the averaged copy),"
        f" optimizer state {planned.optimizer_bytes / 2**20:,.1f} MiB,"
        f" {planned.images_per_process} images per step on each process; nothing was trained"
    )
