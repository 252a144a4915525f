"""Exponential moving average of the weights, used by samples, evaluations and the exported model."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class ModelTensors(NamedTuple):
    """The tensors of a model, listed once: to walk through its modules takes longer than to average them."""

    weights: list[Tensor]
    buffers: list[Tensor]


def list_tensors(model: nn.Module) -> ModelTensors:
    """Return the weights and buffers of a model."""
    return ModelTensors(list(model.parameters()), list(model.buffers()))


@torch.no_grad()
def update_ema(average: ModelTensors, model: ModelTensors, decay: float, updates: Tensor, applied: Tensor) -> None:
    """Set average <- d average + (1 - d) model, with d = min(decay, (1 + n) / (10 + n)); copy the buffers.

    Args:
        average: The tensors of a copy of the model.
        model: Those of the model after its update.
        decay: `train.ema_decay`; 0 copies the model.
        updates: n, the number of updates before this one, a scalar on the model's device.
        applied: Whether the model was updated, a bool scalar on its device; if not, the average stays as it is.
    """
    weights, averaged = model.weights, average.weights
    if decay == 0:
        torch._foreach_copy_(averaged, weights)
    else:
        count = updates.double()
        weight = (1 - ((1 + count) / (10 + count)).clamp_max(decay)) * applied
        weight = weight.to(weights[0].dtype)
        if weight.device.type == "cpu":  # one pass over the weights and nothing allocated
            torch._foreach_lerp_(averaged, weights, [weight] * len(weights))
        else:  # three kernels for all weights
            changes = torch._foreach_sub(weights, averaged)
            torch._foreach_mul_(changes, weight)
            torch._foreach_add_(averaged, changes)
    for averaged_buffer, buffer in zip(average.buffers, model.buffers, strict=True):
        averaged_buffer.copy_(buffer)
