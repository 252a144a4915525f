"""The devices of a training: copies to one that the host does not wait for, and the memory of the CPU."""

import ctypes
import sys

import torch
from torch import Tensor

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`, in its malloc.h."""
MAX_HEAP_TENSOR_BYTES = 2**25
"""Size from which a tensor's memory is the system's own again when it is freed; glibc allows no larger one."""


def copy_to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a CPU tensor on a device; the copy to a GPU is queued, through pinned memory."""
    if device.type != "cuda":
        return tensor.to(device)
    return (tensor if tensor.is_pinned() else tensor.pin_memory()).to(device, non_blocking=True)


def keep_freed_memory() -> None:
    """Let this process keep the memory of freed tensors of the CPU for later ones, until it ends.

    The tensors of a step are freed when it ends. By default glibc then returns their memory, and the next step waits
    for the system to clear it again, page by page. Other C libraries are left as they are.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(M_TRIM_THRESHOLD, -1)  # never
        mallopt(M_MMAP_THRESHOLD, MAX_HEAP_TENSOR_BYTES)
