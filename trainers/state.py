"""The state of a training, and its conversion to and from a checkpoint."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vaegan.config.schema import Config
from vaegan.errors import UserError
from vaegan.models import Model
from vaegan.networks.checkpointing import recompute_stages
from vaegan.storage.checkpoints import Checkpoint
from vaegan.storage.loading import check_state_dict
from vaegan.text import format_value, to_one_line

from .compilation import compile_networks
from .ema import get_half_lives, list_tensors
from .meter import Meter
from .steps.base import Networks, TrainingStep


@dataclass
class State:
    """Everything that training changes."""

    networks: dict[str, nn.Module]
    """The networks as built, with their own parameter names."""
    prepared: Networks
    """The same networks as Accelerate prepared them; every training forward goes through these."""
    optimizers: dict[str, torch.optim.Optimizer]
    """Optimizer of each network."""
    parameters: dict[str, list[nn.Parameter]]
    """Trained parameters of each network, in the order of `named_parameters`."""
    averages: dict[str, Model]
    """Moving averages of the model, the first network, by the name of their file in a checkpoint."""
    adaptive_state: Mapping[str, Tensor]
    """Tensors, float64, that `TrainingStep.after_update` adapts."""
    counters: "UpdateCounters"
    """The counts of updates on the device, which decide whether the next one is taken."""
    meter: Meter = field(default_factory=Meter)
    """Scalars and counts since the last line of the history."""
    step: int = 0
    """Number of optimizer steps, skipped ones included."""
    updates: int = 0
    """Number of updates."""
    skipped: int = 0
    """Number of updates that were skipped since the last one."""

    def __post_init__(self) -> None:
        """List the tensors of the model and of its averages."""
        self.model_tensors = list_tensors(self.model)
        self.average_tensors = [list_tensors(average) for average in self.averages.values()]

    @property
    def model(self) -> nn.Module:
        """The network that is averaged, with its current weights."""
        return next(iter(self.networks.values()))

    def is_finite(self) -> bool:
        """Return whether every trained parameter is finite."""
        return all(bool(weight.isfinite().all()) for weights in self.parameters.values() for weight in weights)


@dataclass
class UpdateCounters:
    """Counts of the updates on the device, ahead of the host, which reads their norms later."""

    updates: Tensor
    """Number of updates, int64, a scalar."""
    skipped: Tensor
    """Number of updates that were skipped since the last one, int64, a scalar."""
    stopped: Tensor
    """True if so many updates were skipped that no further one is taken, bool, a scalar."""

    def count(self, applied: Tensor, max_skipped: int) -> None:
        """Count one update, or one that was skipped.

        Args:
            applied: Whether it was taken, a bool scalar.
            max_skipped: Number of updates skipped in a row at which the training stops.
        """
        self.updates += applied
        self.skipped = torch.where(applied, 0, self.skipped + 1)
        self.stopped = self.stopped | (~applied & (self.skipped >= max_skipped))


def make_counters(device: torch.device, updates: int = 0, skipped: int = 0) -> UpdateCounters:
    """Return the counters of a training that has had some updates and then some that were skipped."""
    return UpdateCounters(*(torch.tensor(count, device=device) for count in (updates, skipped, False)))


OPTIMIZERS: Mapping[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "adam": lambda weights: torch.optim.Adam(weights, fused=True),
    "rmsprop": torch.optim.RMSprop,
}
"""Constructor of each `train.optimizer`; every step sets the learning rate and the decays."""
OPTIMIZER_STATE_KEYS: Mapping[type[torch.optim.Optimizer], tuple[str, ...]] = {
    torch.optim.Adam: ("step", "exp_avg", "exp_avg_sq"),
    torch.optim.RMSprop: ("step", "square_avg"),
}
"""Names of the tensors that an optimizer keeps for each parameter."""
ADAPTIVE_STATE_FILE = "controls"
"""Name of the adaptive state's file in a checkpoint; older checkpoints have the same."""


def build_state(
    config: Config, training_step: TrainingStep[Any], accelerator: Accelerator, compiled: bool = False
) -> State:
    """Build the networks with their initial weights on this process's device, and their optimizers.

    Args:
        config: The run.
        training_step: The step of its family.
        accelerator: The processes of this training.
        compiled: Whether the networks that are trained are compiled.
    """
    dtype = getattr(torch, config.train.dtype)
    networks = {
        name: network.to(accelerator.device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name, network in training_step.build_networks().items()
    }
    return make_state(config, training_step, networks, accelerator, compiled)


def make_state(
    config: Config, training_step: TrainingStep[Any], networks: dict[str, nn.Module], accelerator: Accelerator,
    compiled: bool = False,
) -> State:  # fmt: skip
    """Return the state of a training of networks on this process's device, before its first step.

    Args:
        config: The run.
        training_step: The step of its family.
        networks: Its networks, on the device and in the type of the run.
        accelerator: The processes of this training.
        compiled: Whether the networks that are trained are compiled.
    """
    model, *_ = networks.values()
    if config.train.checkpointing:
        recompute_stages(model)
    averages = {name: copy_for_averaging(model) for name in get_half_lives(config.train)}
    if compiled:
        compile_networks(networks.values())
    prepared = {name: accelerator.prepare_model(network) for name, network in networks.items()}
    parameters = {name: [weight for _, weight in get_trained_parameters(each)] for name, each in networks.items()}
    build_optimizer = OPTIMIZERS[config.train.optimizer]
    optimizers = {name: build_optimizer(weights) for name, weights in parameters.items()}
    for optimizer in optimizers.values():
        init_moments(optimizer)
    adaptive = {name: value.to(accelerator.device) for name, value in training_step.init_adaptive_state().items()}
    counters = make_counters(accelerator.device)
    return State(networks, prepared, optimizers, parameters, averages, adaptive, counters)


def copy_for_averaging(model: nn.Module) -> Model:
    """Return a copy of a model that takes no gradient, in evaluation mode."""
    average = copy.deepcopy(model).eval().requires_grad_(False)
    assert isinstance(average, Model)
    return average


def init_moments(optimizer: torch.optim.Optimizer) -> None:
    """Create the moments, all 0, that an optimizer would create in its first step."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            device = weight.device if optimizer.defaults.get("fused") else None
            moments = {
                name: torch.zeros((), device=device, dtype=torch.float32)
                if name == "step"
                else torch.zeros_like(weight)
                for name in OPTIMIZER_STATE_KEYS[type(optimizer)]
            }
            optimizer.state[weight].update({name: moment.detach() for name, moment in moments.items()})


def get_trained_parameters(network: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return the parameters of a network that are not frozen, with their names."""
    return [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]


def to_checkpoint(state: State, meter: Meter, extra: Mapping[str, Any]) -> Checkpoint:
    """Return a checkpoint of everything that a later step reads.

    Args:
        state: The training.
        meter: Its meter, summed over all ranks.
        extra: Values of the recorder: the data's fingerprint, the W&B run's id.
    """
    tensors: dict[str, Mapping[str, Tensor]] = {name: network.state_dict() for name, network in state.networks.items()}
    tensors |= {name: average.state_dict() for name, average in state.averages.items()}
    if state.adaptive_state:
        tensors[ADAPTIVE_STATE_FILE] = state.adaptive_state
    for name, optimizer in state.optimizers.items():
        tensors[f"{name}.optimizer"] = {
            f"{key}/{moment}": value
            for key, parameter in get_trained_parameters(state.networks[name])
            for moment, value in optimizer.state[parameter].items()
        }
    counts = {"updates": state.updates, "skipped": state.skipped}
    return Checkpoint(state.step, tensors, {**extra, **counts, "meter": meter.state_dict()})


def restore(state: State, checkpoint: Checkpoint, accelerator: Accelerator) -> None:
    """Load a checkpoint into a training, on any number of processes.

    Raises:
        UserError: The checkpoint does not fit the networks, optimizers or adaptive state; nothing was changed.
    """
    try:
        meter = _check_and_load_meter(state, checkpoint, accelerator)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        problem = f"not a checkpoint of this run ({to_one_line(error)}); delete it, then resume"
        raise UserError(f"checkpoints/step_{checkpoint.step:08d}: {problem}") from error
    for name, network in state.networks.items():
        network.load_state_dict(checkpoint.tensors[name])
        _load_named_moments(network, state.optimizers[name], checkpoint.tensors[f"{name}.optimizer"])
    for name, average in state.averages.items():
        average.load_state_dict(checkpoint.tensors[name])
    for name, value in state.adaptive_state.items():
        value.copy_(checkpoint.tensors[ADAPTIVE_STATE_FILE][name])
    state.step = checkpoint.step
    state.updates, state.skipped = checkpoint.state["updates"], checkpoint.state["skipped"]
    state.counters = make_counters(accelerator.device, state.updates, state.skipped)
    state.meter = meter


def _check_and_load_meter(state: State, checkpoint: Checkpoint, accelerator: Accelerator) -> Meter:
    """Check that a checkpoint has the tensors of this training, and return its meter; raise any error if it has not."""
    for name, network in {**state.networks, **state.averages}.items():
        check_state_dict(checkpoint.tensors[name], network.state_dict())
    check_state_dict(checkpoint.tensors.get(ADAPTIVE_STATE_FILE, {}), state.adaptive_state)
    for name, network in state.networks.items():
        moments = {
            f"{key}/{moment}": parameter if moment != "step" else torch.zeros(())
            for key, parameter in get_trained_parameters(network)
            for moment in OPTIMIZER_STATE_KEYS[type(state.optimizers[name])]
        }
        if saved := checkpoint.tensors[f"{name}.optimizer"]:  # there are none before the first update
            check_state_dict(saved, moments)
    for count in (checkpoint.state["updates"], checkpoint.state["skipped"]):
        if type(count) is not int or not 0 <= count <= checkpoint.step:
            raise ValueError(f"{format_value(count)} updates in {checkpoint.step} steps")
    meter = Meter()
    meter.load_state_dict(checkpoint.state["meter"], accelerator)
    return meter


def _load_named_moments(network: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = dict(get_trained_parameters(network))
    for key, value in tensors.items():
        name, moment = key.rsplit("/", 1)
        optimizer.state[parameters[name]][moment].copy_(value)
