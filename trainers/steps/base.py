"""What the loop and a family's training step say to each other."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vaegan.config.models import ConditionalConfig
from vaegan.config.schema import Config
from vaegan.config.section import Section
from vaegan.data import Data

Networks = Mapping[str, nn.Module]
Backward = Callable[[Tensor], None]
Follow = Callable[[Config, dict[str, nn.Module], Mapping[str, Tensor], Mapping[str, Tensor]], None]
Kind = TypeVar("Kind", bound=Section)


@dataclass(frozen=True)
class Batch:
    """One micro-batch: this process's images and the noise that belongs to their places in the global batch."""

    images: Tensor
    """Shape (N, C, S, S) in [-1, 1]."""
    labels: Tensor | None
    """Class of each image, int64, shape (N,); None where the set has none. Unconditional networks do not look at it."""
    noise: Mapping[str, Tensor]
    """Standard normal, shape (N, ...), by what it is for, as the family's `noise` says."""
    step: int
    """Optimizer steps before this one."""
    start: int
    """Place of the first image in the global batch."""
    autocast_dtype: torch.dtype | None
    """Autocast type of the forwards; None: that of the weights."""
    controls: Mapping[str, Tensor] = field(default_factory=dict)
    """What the family's `follow` has made of the steps before, in the type of the images."""


@dataclass(frozen=True)
class StepOutput:
    """What a step has to say of a micro-batch, without a graph."""

    scalars: Mapping[str, Tensor]
    """Means over the images, to be averaged over micro-batches and processes."""
    counts: Mapping[str, Tensor] = field(default_factory=dict)
    """Sums over the images, to be added up."""
    codes: Tensor | None = None
    """A draw of each image's posterior, where the family has a prior to compare the aggregate with."""
    sums: Mapping[str, Tensor] = field(default_factory=dict)
    """Sums over the images, float64, that the family's `follow` needs of the whole step."""


@dataclass(frozen=True)
class Family:
    """How one family is trained; its functions are in the module of its name, or of what it shares with others."""

    build: Callable[[Config], dict[str, nn.Module]]
    """The networks with their initial weights; the first is the `Model`, which is averaged and kept."""
    step: Callable[[Config, Networks, Batch, Backward], StepOutput]
    """Add the gradient of one micro-batch to every network's parameters."""
    noise: Callable[[Config], Mapping[str, tuple[int, ...]]] = lambda config: {}
    """What a step draws for each image: the shape of it, by what it is for."""
    ready: Callable[[Config], None] = lambda config: None
    """See that what it needs beside images is there; a UserError, alike on all processes, where it is not."""
    check: Callable[[Config, Data], None] = lambda config, data: None
    """See that it can learn from these images; a UserError, alike on all processes, where it cannot."""
    start: Callable[[Config, dict[str, nn.Module], Data], None] = lambda config, networks, data: None
    """Set what the networks take from the training images before the first step; all processes do it together."""
    controls: Callable[[Config], dict[str, Tensor]] = lambda config: {}
    """Numbers, float64, that steer the steps and follow them, as they are at the beginning."""
    follow: Follow = lambda config, networks, controls, totals: None
    """After an update, move what is not moved by gradients, in place: buffers of the networks, and the controls.

    The last argument is the step's `StepOutput.sums`, of all processes."""


def check_labels(config: Config, data: Data) -> None:
    """See that the images have the labels that a conditional model is to know, of as many classes.

    Raises:
        UserError: They have not, alike on all processes.
    """
    assert isinstance(config.model, ConditionalConfig)
    if config.model.labels is not None:
        data.train.require_labels("model.labels", config.model.labels)


def family_config(config: Config, kind: type[Kind]) -> Kind:
    """The `model` section as the family's own type."""
    assert isinstance(config.model, kind)
    return config.model


@contextmanager
def freeze(network: nn.Module) -> Iterator[None]:
    """Let gradients through a network and none into it; its forward is then not one that ranks synchronise."""
    network.requires_grad_(False)
    try:
        with network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext():
            yield
    finally:
        network.requires_grad_(True)
