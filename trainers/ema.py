"""The averaged weights that samples, evaluations and the exported model use."""

import torch
from torch import nn


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, decay: float, updates: int) -> None:
    """average <- d average + (1 - d) model, with d = min(decay, (1 + n) / (10 + n)); buffers are copied.

    Args:
        average: A copy of the model.
        model: The model after its update.
        decay: `train.ema_decay`; 0 copies the model.
        updates: n, updates before this one.
    """
    share = 1 - min(decay, (1 + updates) / (10 + updates))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), share)
    for kept, buffer in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(buffer)
