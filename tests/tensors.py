"""Random tensors of float64, the same for the same seed."""

import torch
from torch import Tensor


def draw_gaussian(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal values."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw_pixels(*shape: int, seed: int = 0) -> Tensor:
    """Return uniform values in [−1, 1), as pixels have them."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
