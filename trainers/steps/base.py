"""The interface of a training step, which is what a family adds to the loop: gradients, and what is logged."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import ClassVar, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vaegan.config.architectures import ConditionalConfig, ContinuousConfig
from vaegan.config.models import GANConfig
from vaegan.config.schema import Config
from vaegan.config.section import Section
from vaegan.data import Data
from vaegan.distributed import all_gather_object, run_on_all_ranks
from vaegan.errors import UserError
from vaegan.models import Model, build_model
from vaegan.networks.build import build_discriminator, build_plain_discriminator
from vaegan.networks.check_given import check_networks
from vaegan.networks.given import GivenNetworks

Networks = Mapping[str, nn.Module]
"""Networks by name; in a step they are those that Accelerate has prepared."""
Backward = Callable[[Tensor], None]
"""Backpropagates the loss of a micro-batch; the loop divides it by the number of micro-batches."""
ModelSection = TypeVar("ModelSection", bound=Section)

CONFUSION_KEY = "discriminator/confusion"
"""Name of the confusion counts, a row of predictions for each origin of images."""
CODEBOOK_KEY = "codebook/counts"
"""Name of the counts of the codebook's entries."""


@dataclass(frozen=True)
class StepInput:
    """One micro-batch: images of this process, and the noise of their positions in the global batch."""

    images: Tensor
    """Real images, shape (N, C, S, S) in [-1, 1]."""
    labels: Tensor | None
    """Class of each image, int64, shape (N,); None if the set has none. Unconditional networks ignore it."""
    noise: Mapping[str, Tensor]
    """Standard normal tensors by purpose, each of shape (N, ...); see `TrainingStep.get_noise_shapes`."""
    step: int
    """Number of optimizer steps before this one."""
    start: int
    """Position of the first image in the global batch."""
    autocast_dtype: torch.dtype | None
    """Autocast type of the forwards; None: that of the weights."""
    adaptive_state: Mapping[str, Tensor] = field(default_factory=dict)
    """Values that `TrainingStep.after_update` has adapted, in the type of the images."""


@dataclass(frozen=True)
class StepOutput:
    """Detached results of a step on one micro-batch."""

    scalars: Mapping[str, Tensor]
    """Means over the images, to be averaged over micro-batches and processes."""
    counts: Mapping[str, Tensor] = field(default_factory=dict)
    """Counts over the images, which are logged as their sum."""
    codes: Tensor | None = None
    """One posterior sample of each image, shape (N, d); None if the family has no prior to compare them with."""
    sums: Mapping[str, Tensor] = field(default_factory=dict)
    """Sums over the images, float64, which are not logged; `TrainingStep.after_update` gets their totals."""


class Term(NamedTuple):
    """One term of a loss, weight * value / divisor."""

    value: Tensor
    """A scalar, or one value per image, shape (N,)."""
    weight: Tensor | float = 1.0
    divisor: Tensor | int = 1
    logged: Tensor | bool = True
    """True if the unweighted value is logged, or the tensor whose mean is logged instead."""

    def mean(self) -> "Term":
        """Return the term of the weighted mean over the images, a scalar, which logs the same."""
        logged = self.value if self.logged is True else self.logged
        return Term((self.weight * self.value / self.divisor).mean(), logged=logged)


def sum_terms(terms: Mapping[str, Term]) -> Tensor:
    """Return the loss, the sum of the weighted terms in their order: a scalar or shape (N,), as the terms are."""
    return reduce(add, (term.weight * term.value / term.divisor for term in terms.values()))


def log_terms(terms: Mapping[str, Term]) -> dict[str, Tensor]:
    """Return the mean of each logged term, unweighted and detached, under ``loss/NAME``."""
    values = {name: term.value if term.logged is True else term.logged for name, term in terms.items()}
    return {f"loss/{name}": value.detach().mean() for name, value in values.items() if isinstance(value, Tensor)}


class TrainingStep(Generic[ModelSection]):
    """The training step of one family, built once with its run's config.

    Args:
        config: The run.
        model_config: Its `model` section, as the family's own type.
        given: Modules that take the place of networks of the config, by their names; None: none do.
    """

    model_name: ClassVar[str] = "autoencoder"
    """Name of the network that is averaged and exported."""
    code_noise: ClassVar[tuple[str, ...]] = ()
    """Purposes of the standard normal noise, shape (N, d), that a step draws with the size of the codes."""

    def __init__(self, config: Config, model_config: ModelSection, given: GivenNetworks | None = None) -> None:
        self.config = config
        self.model_config = model_config
        self.given = given or {}

    def build_networks(self) -> dict[str, nn.Module]:
        """Build the networks with their initial weights; the first is the `Model`, a discriminator follows.

        The parts of `train.freeze` are frozen, so that they have no optimizer state and no gradient is waited for.
        """
        config, shape = self.config, self.config.data.image_shape
        networks: dict[str, nn.Module] = {self.model_name: build_model(config.model, shape, config.seed, self.given)}
        for part in config.train.freeze:
            networks[self.model_name].get_submodule(part).requires_grad_(False)
        if isinstance(self.model_config, GANConfig):
            networks["discriminator"] = build_discriminator(self.model_config, shape, config.seed, self.given)
        return networks

    def get_noise_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of the noise that a step needs for each image, by purpose."""
        if not isinstance(self.model_config, ContinuousConfig):
            return {}
        size = math.prod(self.model_config.get_code_shape(self.config.data.image_shape))
        return dict.fromkeys(self.code_noise, (size,))

    def check_inputs(self) -> None:
        """Check that the files that a training needs beside images exist, on all ranks alike.

        Raises:
            UserError: A file is missing or damaged.
        """

    def record_inputs(self, config: Config) -> Config:
        """Return the config of a run before its first step with digests of the files that the training needs.

        Raises:
            UserError: They cannot be read, or are not those that the config records.
        """
        return config

    def check_networks(self) -> None:
        """Check that the networks can be built, and that given modules can be trained; all ranks call it together.

        Raises:
            UserError: They cannot, or the processes were given different ones.
        """
        if not self.given:
            run_on_all_ranks(self._build_on_meta_device)
        else:
            run_on_all_ranks(lambda: check_networks(self.config, self.build_networks()))
            if len(set(all_gather_object(self.config.networks))) > 1:
                problem = "the processes were given other initial weights; call torch.manual_seed before they are made"
                raise UserError(f"networks: {problem}", on_all_ranks=True)

    def _build_on_meta_device(self) -> None:
        with torch.device("meta"):
            build_model(self.config.model, self.config.data.image_shape, self.config.seed)
            if isinstance(self.model_config, GANConfig):  # spectral norm would take most of the time
                build_plain_discriminator(self.model_config, self.config.data.image_shape)

    def check_data(self, data: Data) -> None:
        """Check that the family can learn from the images, on all ranks alike.

        Raises:
            UserError: The model is conditional, and the images have no labels or another number of classes.
        """
        if isinstance(self.model_config, ConditionalConfig) and self.model_config.labels is not None:
            data.train.require_labels("model.labels", self.model_config.labels)

    def init_from_data(self, networks: Networks, data: Data) -> None:
        """Set what the networks take from the training images before the first step; all ranks call it together."""

    def init_adaptive_state(self) -> dict[str, Tensor]:
        """Return the initial values, float64, that later steps adapt."""
        return {}

    def accumulate_gradients(self, networks: Networks, batch: StepInput, backward: Backward) -> StepOutput:
        """Add the gradient of one micro-batch to the parameters of every network, and return what is to be logged.

        Args:
            networks: The prepared networks; each forward has one backward.
            batch: The micro-batch.
            backward: Called once for each loss.
        """
        raise NotImplementedError

    def get_followers(self, networks: Networks) -> list[Tensor]:
        """Return the tensors of the networks as built that `after_update` and spectral norm change: their buffers."""
        return [buffer for network in networks.values() for buffer in network.buffers()]

    def after_update(
        self, networks: Networks, adaptive_state: Mapping[str, Tensor], totals: Mapping[str, Tensor]
    ) -> None:
        """Change, in place and without a gradient, the buffers and the adaptive state that follow an update.

        Args:
            networks: The networks as built.
            adaptive_state: Changed in place.
            totals: `StepOutput.sums` of the whole step, over all micro-batches and ranks.
        """


def check_image_shape(key: str, path: Path, model: Model, config: Config) -> None:
    """Check that a trained model is for images of the size and the channels of a config.

    Args:
        key: Setting that names the model's run.
        path: The run's folder.
        model: The model.
        config: The run that is to use it.

    Raises:
        UserError: It is for other images.
    """
    if model.image_shape != config.data.image_shape:
        sizes = ["x".join(map(str, shape)) for shape in (model.image_shape, config.data.image_shape)]
        raise UserError(f"{key}: {path}: is for images of {sizes[0]}, not {sizes[1]}")


@contextmanager
def freeze(network: nn.Module) -> Iterator[None]:
    """Let gradients pass through a network but not into its parameters; ranks do not synchronise its forward."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        with network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext():
            yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
