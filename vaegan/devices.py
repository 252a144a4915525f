"""Copies from the host to the device of a training that the host does not wait for."""

import torch
from torch import Tensor


def copy_to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a CPU tensor on a device; the copy to a GPU is queued, through pinned memory."""
    if device.type != "cuda":
        return tensor.to(device)
    return (tensor if tensor.is_pinned() else tensor.pin_memory()).to(device, non_blocking=True)
