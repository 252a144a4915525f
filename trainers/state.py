"""All that training changes, and how it gets into a checkpoint and out of it."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vaegan.config.schema import Config, TrainConfig
from vaegan.errors import UserError
from vaegan.models import Model
from vaegan.storage.checkpoints import Checkpoint
from vaegan.text import format_value, to_one_line, to_short_word

from .meter import Meter
from .steps.base import Family, Networks


@dataclass
class State:
    """The networks, what follows them, and the step they have reached."""

    networks: dict[str, nn.Module]
    """As built, under their own parameter names."""
    prepared: Networks
    """The same networks as Accelerate wrapped them: every training forward goes through these."""
    optimizers: dict[str, torch.optim.Optimizer]
    """One for each network."""
    parameters: dict[str, list[nn.Parameter]]
    """Those of each network that are trained, in the order of `named_parameters`."""
    average: Model
    """The first of the networks, averaged."""
    controls: Mapping[str, Tensor]
    """What steers the steps and follows them, by the family's `follow`."""
    meter: Meter = field(default_factory=Meter)
    """What was reported since the last line of the history."""
    step: int = 0
    """Optimizer steps behind it, with those whose update was skipped."""
    updates: int = 0
    """Updates that were made."""
    skipped: int = 0
    """Updates that were skipped since the last one that was made."""

    @property
    def model(self) -> nn.Module:
        """The network that is averaged, as it is now."""
        return next(iter(self.networks.values()))

    def finite(self) -> bool:
        """Whether every weight is a number."""
        return all(bool(weights.isfinite().all()) for own in self.parameters.values() for weights in own)


OPTIMIZERS: Mapping[str, Callable[[list[nn.Parameter], TrainConfig], torch.optim.Optimizer]] = {
    "adam": lambda own, config: torch.optim.Adam(own, config.learning_rate, config.betas),
    "rmsprop": lambda own, config: torch.optim.RMSprop(own, config.learning_rate, alpha=config.betas[1]),
}
OPTIMIZER_STATE_KEYS: Mapping[type[torch.optim.Optimizer], tuple[str, ...]] = {
    torch.optim.Adam: ("step", "exp_avg", "exp_avg_sq"),
    torch.optim.RMSprop: ("step", "square_avg"),
}
"""What an optimizer keeps of each parameter."""


def build_state(config: Config, family: Family, accelerator: Accelerator) -> State:
    """Networks with their initial weights on this process's device, and their optimizers."""
    dtype = getattr(torch, config.train.dtype)
    networks = {
        name: network.to(accelerator.device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name, network in family.build(config).items()
    }
    average = copy.deepcopy(next(iter(networks.values()))).eval().requires_grad_(False)
    assert isinstance(average, Model)
    prepared = {name: accelerator.prepare_model(network) for name, network in networks.items()}
    parameters = {name: [own for _, own in get_trained_parameters(network)] for name, network in networks.items()}
    optimizers = {name: OPTIMIZERS[config.train.optimizer](own, config.train) for name, own in parameters.items()}
    controls = {name: value.to(accelerator.device) for name, value in family.controls(config).items()}
    return State(networks, prepared, optimizers, parameters, average, controls)


def get_trained_parameters(network: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters of a network that are not frozen, with their names."""
    return [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]


def to_checkpoint(state: State, meter: Meter, extra: Mapping[str, Any]) -> Checkpoint:
    """Everything that a later step reads.

    Args:
        state: The training.
        meter: Its meter, added up over all processes.
        extra: What the recorder adds (the data's fingerprint, the W&B run's id).
    """
    tensors: dict[str, Mapping[str, Tensor]] = {name: network.state_dict() for name, network in state.networks.items()}
    tensors["average"] = state.average.state_dict()
    if state.controls:
        tensors["controls"] = state.controls
    for name, optimizer in state.optimizers.items():
        tensors[f"{name}.optimizer"] = _by_name(state.networks[name], optimizer)
    counts = {"updates": state.updates, "skipped": state.skipped}
    return Checkpoint(state.step, tensors, {**extra, **counts, "meter": meter.state()})


def restore(state: State, checkpoint: Checkpoint, accelerator: Accelerator) -> None:
    """Put a training where a checkpoint left it, on any number of processes.

    Raises:
        UserError: It is not a checkpoint of such a training; nothing was changed then.
    """
    try:
        meter = _see_that_it_fits(state, checkpoint, accelerator)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        name = f"checkpoints/step_{checkpoint.step:08d}"
        raise UserError(
            f"{name}: not a checkpoint of this run ({to_one_line(error)}); delete it, then resume"
        ) from error
    for name, network in state.networks.items():
        network.load_state_dict(checkpoint.tensors[name])
        _from_names(network, state.optimizers[name], checkpoint.tensors[f"{name}.optimizer"])
    state.average.load_state_dict(checkpoint.tensors["average"])
    for name, value in state.controls.items():
        value.copy_(checkpoint.tensors["controls"][name])
    state.step = checkpoint.step
    state.updates, state.skipped = checkpoint.state["updates"], checkpoint.state["skipped"]
    state.meter = meter


def _see_that_it_fits(state: State, checkpoint: Checkpoint, accelerator: Accelerator) -> Meter:
    """The meter of a checkpoint whose tensors are those that this training has; any error says that they are not."""
    for name, network in {**state.networks, "average": state.average}.items():
        _see_same_tensors(checkpoint.tensors[name], network.state_dict())
    _see_same_tensors(checkpoint.tensors.get("controls", {}), state.controls)
    for name, network in state.networks.items():
        moments = {
            f"{key}/{moment}": parameter if moment != "step" else torch.zeros(())
            for key, parameter in get_trained_parameters(network)
            for moment in OPTIMIZER_STATE_KEYS[type(state.optimizers[name])]
        }
        found = checkpoint.tensors[f"{name}.optimizer"]
        if found:  # there are none before the first update
            _see_same_tensors(found, moments)
    for count in (checkpoint.state["updates"], checkpoint.state["skipped"]):
        if type(count) is not int or not 0 <= count <= checkpoint.step:
            raise ValueError(f"{format_value(count)} updates in {checkpoint.step} steps")
    meter = Meter()
    meter.restore(checkpoint.state["meter"], accelerator)
    return meter


def _see_same_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    if found.keys() != wanted.keys():
        raise ValueError(f"{to_short_word(min(found.keys() ^ wanted.keys()))} is only in one of them")
    for key, tensor in wanted.items():
        if (found[key].shape, found[key].dtype) != (tensor.shape, tensor.dtype):
            raise ValueError(f"{key}: {found[key].dtype} of shape {tuple(found[key].shape)}")


def _by_name(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value
        for name, parameter in get_trained_parameters(network)
        for key, value in optimizer.state[parameter].items()
    }


def _from_names(network: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = {name: (index, parameter) for index, (name, parameter) in enumerate(get_trained_parameters(network))}
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, moment = key.rsplit("/", 1)
        index, parameter = parameters[name]
        if moment != "step":  # laid out in memory as Adam lays it out, as the parameter
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        moments.setdefault(index, {})[moment] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
