"""Exponential moving average of the weights, used by samples, evaluations and the exported model."""

import torch
from torch import nn


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, decay: float, updates: int) -> None:
    """Set average <- d average + (1 - d) model, with d = min(decay, (1 + n) / (10 + n)); copy the buffers.

    Args:
        average: A copy of the model.
        model: The model after its update.
        decay: `train.ema_decay`; 0 copies the model.
        updates: n, the number of updates before this one.
    """
    weight = 1 - min(decay, (1 + updates) / (10 + updates))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), weight)
    for averaged_buffer, buffer in zip(average.buffers(), model.buffers(), strict=True):
        averaged_buffer.copy_(buffer)
