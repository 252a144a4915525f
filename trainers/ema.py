"""Exponential moving average of the weights, used by samples, evaluations and the exported model."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vaegan.config.schedule import Schedule
from vaegan.config.schema import TrainConfig, get_value_at_step

FIRST_AVERAGE = "average"
"""Name of the only average, or of the first of two."""
MAX_HALF_LIFE_PER_IMAGE = 0.1
"""Largest half-life, as a share of the images seen, so that the average forgets the initial weights."""


class ModelTensors(NamedTuple):
    """The tensors of a model, listed once: to walk through its modules takes longer than to average them."""

    weights: list[Tensor]
    buffers: list[Tensor]


def list_tensors(model: nn.Module) -> ModelTensors:
    """Return the weights and buffers of a model."""
    return ModelTensors(list(model.parameters()), list(model.buffers()))


def get_half_lives(config: TrainConfig) -> dict[str, "float | Schedule[float] | None"]:
    """Return the half-life of each average in images, or its schedule; None: it has a decay for each update instead.

    The key is the name of its file in a checkpoint.
    """
    second = config.second_ema_half_life
    return {FIRST_AVERAGE: config.ema_half_life, **({} if second is None else {"second_average": second})}


def compute_decay(
    config: TrainConfig, setting: "float | Schedule[float] | None", step: int, updates: Tensor
) -> Tensor | None:
    """Compute the decay d of an average in step ``step`` (from 0), a float64 scalar; None: it is 0.

    Under a half-life of H images it is 2^(-B / min(H, n / 10)) after n images, with B images in a batch, else
    min(`train.ema_decay`, (1 + k) / (10 + k)) after k updates.

    Args:
        config: The training loop.
        setting: The half-life, as `get_half_lives` returns it.
        step: Number of optimizer steps before this one.
        updates: k, a scalar on the model's device.
    """
    if setting is not None:
        half_life = get_value_at_step(config, setting, step)
        half_life = min(half_life, step * config.batch_size * MAX_HALF_LIFE_PER_IMAGE)
        decay = 2 ** (-config.batch_size / half_life) if half_life else 0.0
        return torch.full((), decay, dtype=torch.float64, device=updates.device) if decay else None
    if not config.ema_decay:
        return None
    count = updates.double()
    return ((1 + count) / (10 + count)).clamp_max(config.ema_decay)


@torch.no_grad()
def update_ema(average: ModelTensors, model: ModelTensors, decay: Tensor | None, applied: Tensor) -> None:
    """Set average <- d average + (1 - d) model, and copy the buffers.

    Args:
        average: The tensors of a copy of the model.
        model: The tensors of the model after its update.
        decay: d, a float64 scalar on the model's device; None: it is 0, and the model is copied.
        applied: Whether the model was updated, a bool scalar on its device; if not, the average stays as it is.
    """
    weights, averaged = model.weights, average.weights
    if decay is None:
        torch._foreach_copy_(averaged, weights)
    else:
        weight = ((1 - decay) * applied).to(weights[0].dtype)
        if weight.device.type == "cpu":  # one pass over the weights and nothing allocated
            torch._foreach_lerp_(averaged, weights, [weight] * len(weights))
        else:  # three kernels for all weights
            changes = torch._foreach_sub(weights, averaged)
            torch._foreach_mul_(changes, weight)
            torch._foreach_add_(averaged, changes)
    for averaged_buffer, buffer in zip(average.buffers, model.buffers, strict=True):
        averaged_buffer.copy_(buffer)
