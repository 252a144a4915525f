"""GroupNorm (Wu & He 2018) whose statistics are float32 whatever the autocast type."""

import torch
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm` that normalises bfloat16 features in float32.

    On CPUs autocast leaves the norm in bfloat16, whose kernels take 1.4 to 2.7 times as long as those of float32 with
    both conversions (forward and backward, AVX-512). On GPUs autocast computes the norm in float32, and what follows
    stays in float32.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Return the normalised features, shape (N, channels, ...), in the type that they came in."""
        if features.dtype != torch.bfloat16:
            return super().forward(features)
        return super().forward(features.float()).to(features.dtype)
