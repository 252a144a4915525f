"""The network of a flow: from a point on its way from noise to a code, and the time, to the velocity there."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .group_norm import GroupNorm
from .sizes import count_groups

MAX_FREQUENCY = 1000.0
"""Largest frequency of the embedding of times in [0, 1], in radians; the smallest is 1."""


class ModulatedBlock(nn.Module):
    """(x + residual(x)) / sqrt 2 with two layers, before which an embedding scales and shifts normalised features.

    The modulation is that of adaptive group normalisation (Dhariwal & Nichol 2021, section 3).

    Args:
        width: Channels, and size of the embedding.
        has_grid: Whether it has convolutions and a GroupNorm of 8 channels a group, or linear layers and a LayerNorm.
    """

    def __init__(self, width: int, has_grid: bool) -> None:
        super().__init__()
        self.norm = _build_norm(width, has_grid)
        self.modulation = nn.Linear(width, 2 * width)
        self.residual = nn.Sequential(
            nn.SiLU(),
            _build_layer(width, width, has_grid),
            _build_norm(width, has_grid),
            nn.SiLU(),
            _build_layer(width, width, has_grid),
        )

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Return the block's output for features (N, width, ...) and embeddings (N, width)."""
        sizes = (-1, *[1] * (features.ndim - 2))
        scale, shift = (part.unflatten(1, sizes) for part in self.modulation(embedding).chunk(2, dim=1))
        total: Tensor = features + self.residual(self.norm(features) * (1 + scale) + shift)
        return total / math.sqrt(2)


class VelocityNetwork(nn.Module):
    """v(x, t), or v(x, t, class), for points x of the shape of a code, by residual blocks.

    For a vector the blocks have linear layers, for a grid convolutions at its resolution. Apart from the statistics of
    the GroupNorms, the velocity at a place of a grid depends only on the places up to 2 ``depth`` + 2 away.

    Args:
        code_shape: Shape of a code: (d,) of one vector, or (C, h, w) of a grid; points may have other sides.
        width: Channels of the blocks, a multiple of 8.
        depth: Number of blocks.
        classes: Number of classes; None: unconditional.
    """

    def __init__(self, code_shape: Sequence[int], width: int, depth: int, classes: int | None = None) -> None:
        super().__init__()
        has_grid, self.width = len(code_shape) > 1, width
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.label = None if classes is None else nn.Embedding(classes, width)
        self.enter = _build_layer(code_shape[0], width, has_grid)
        self.blocks = nn.ModuleList(ModulatedBlock(width, has_grid) for _ in range(depth))
        self.out = nn.Sequential(_build_norm(width, has_grid), nn.SiLU(), _build_layer(width, code_shape[0], has_grid))

    def forward(self, points: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the velocity at points x, of their shape.

        Args:
            points: Shape (N, d) or (N, C, h, w).
            time: Times t in [0, 1], shape (N,).
            labels: Class of each point, int64, shape (N,); ignored by an unconditional network.
        """
        embedding = self.time(embed_time(time, self.width))
        if self.label is not None:
            embedding = embedding + self.label(labels)
        embedding = nn.functional.silu(embedding)
        features = self.enter(points)
        for block in self.blocks:
            features = block(features, embedding)
        velocity: Tensor = self.out(features)
        return velocity


def embed_time(time: Tensor, size: int) -> Tensor:
    """Return cos(f t) and sin(f t) of ``size`` / 2 frequencies f in geometric progression: (N,) => (N, size).

    Args:
        time: Times t in [0, 1].
        size: Size of the embedding, an even number of at least 4.
    """
    exponents = torch.linspace(0, 1, size // 2, dtype=time.dtype, device=time.device)
    angles = time[:, None] * MAX_FREQUENCY**exponents
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def _build_layer(inputs: int, outputs: int, has_grid: bool) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, padding=1) if has_grid else nn.Linear(inputs, outputs)


def _build_norm(width: int, has_grid: bool) -> nn.Module:
    return GroupNorm(count_groups(width), width) if has_grid else nn.LayerNorm(width)
