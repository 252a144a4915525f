"""What the loop and a family's training step say to each other."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vaegan.config.schema import Config

Networks = Mapping[str, nn.Module]
Backward = Callable[[Tensor], None]


@dataclass(frozen=True)
class Batch:
    """One micro-batch: this process's images and the noise that belongs to their places in the global batch."""

    images: Tensor
    """Shape (N, C, S, S) in [-1, 1]."""
    labels: Tensor | None
    """Class of each image, int64, shape (N,); None where the set has none."""
    noise: Tensor
    """Standard normal, shape (N, d), for the draws of the posterior."""
    prior: Tensor
    """Standard normal, shape (N, d), the codes of generated images."""
    step: int
    """Optimizer steps before this one."""
    arithmetic: torch.dtype | None
    """Autocast type of the forwards; None: that of the weights."""


@dataclass(frozen=True)
class Report:
    """What a step has to say of a micro-batch, without a graph."""

    scalars: Mapping[str, Tensor]
    """Means over the images, to be averaged over micro-batches and processes."""
    counts: Mapping[str, Tensor] = field(default_factory=dict)
    """Sums over the images, to be added up."""
    codes: Tensor | None = None
    """A draw of each image's posterior, where the family has a prior to compare the aggregate with."""


class Family(Protocol):
    """How one family is trained; each is a module of this package with these two functions."""

    def build(self, config: Config) -> dict[str, nn.Module]:
        """The networks with their initial weights; `autoencoder` is the one that is kept."""
        ...

    def step(self, config: Config, networks: Networks, batch: Batch, backward: Backward) -> Report:
        """Add the gradient of one micro-batch to every network's parameters."""
        ...


def image_shape(config: Config) -> tuple[int, int, int]:
    """(C, S, S) of a run's images."""
    return config.data.channels, config.data.image_size, config.data.image_size


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Let gradients through a network and none into it; its forward is then not one that ranks synchronise."""
    network.requires_grad_(False)
    try:
        with network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext():
            yield
    finally:
        network.requires_grad_(True)
