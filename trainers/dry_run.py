"""A dry run: the size of a run, counted without training it."""

from dataclasses import dataclass

import torch

from vaegan.config.schema import Config
from vaegan.models.model import count_parameters

from .batch_partition import get_batch_slice
from .ema import get_half_lives
from .state import get_trained_parameters
from .steps import build_step


@dataclass(frozen=True)
class RunSize:
    """Hold the number of parameters of a run and the memory they take."""

    parameters: dict[str, int]
    """Number for each part of the model (`encoder`, `decoder`) and each other network (`discriminator`)."""
    weight_bytes: int
    """Bytes of the weights of all networks and of the averages of the model."""
    gradient_bytes: int
    """Bytes of the gradients of all networks, which a step reduces over the processes."""
    optimizer_bytes: int
    """Bytes of the optimizer's moments: two numbers per trained parameter for adam, one for rmsprop."""
    images_per_process: int
    """Images per optimizer step on each process."""


def estimate_size(config: Config, processes: int = 1) -> RunSize:
    """Count a run's parameters and their bytes without allocating them.

    Args:
        config: The run.
        processes: Number of processes that the batch is divided over.

    Raises:
        UserError: `train.batch_size` is not a multiple of ``processes``, or `train.micro_batch_size` does not divide
            the images of one process.
    """
    batch_slice = get_batch_slice(config, 0, processes)
    with torch.device("meta"):
        networks = build_step(config).build_networks()
    model, *others = networks
    model_parameters = count_parameters(networks[model])
    parameters = model_parameters | {name: sum(count_parameters(networks[name]).values()) for name in others}
    dtype_bytes = torch.empty((), dtype=getattr(torch, config.train.dtype)).element_size()
    weights = sum(parameters.values()) + len(get_half_lives(config.train)) * sum(model_parameters.values())
    trained = sum(p.numel() for network in networks.values() for _, p in get_trained_parameters(network))
    gradients, moments = dtype_bytes * trained, {"adam": 2, "rmsprop": 1}[config.train.optimizer]
    images = batch_slice.stop - batch_slice.start
    return RunSize(parameters, dtype_bytes * weights, gradients, moments * gradients, images)
