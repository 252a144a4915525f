"""The arithmetic of forwards: autocast, TF32, and full precision where it matters."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Full precision and the same bits each time inside the block, whatever the arithmetic around it."""
    cudnn = torch.backends.cudnn
    flags = cudnn.flags(enabled=cudnn.enabled, deterministic=True, allow_tf32=False)
    with torch.autocast(device.type, enabled=False), flags:
        yield
