"""Encoder and decoder without linear layers, whose code is a grid of vectors."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.config.architectures import GridConfig, ImageShape

from . import TRUNKS
from .autoencoder import ImageDecoder
from .group_norm import GroupNorm
from .sizes import count_code_levels, count_groups


class Attention(nn.Module):
    """Self-attention among the places of a grid, (x + attention(norm(x))) / sqrt 2 (Vaswani et al. 2017, eq. 1).

    Args:
        channels: Channels of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(count_groups(channels), channels)
        self.enter = nn.Conv2d(channels, 3 * channels, 1, bias=False)  # a bias of the keys would be without effect
        self.leave = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape (N, C, h, w)."""
        queries, keys, values = self.enter(self.norm(features)).flatten(2).mT.chunk(3, dim=-1)
        attended = F.scaled_dot_product_attention(queries, keys, values).mT.unflatten(2, features.shape[2:])
        total: Tensor = features + self.leave(attended)
        return total / math.sqrt(2)


class GridEncoder(nn.Module):
    """Network from an image, and its class in a conditional model, to the parameters of its posterior.

    The class is one more channel of the image, of a learned value for each class.

    Args:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images that it is trained with.
        code_parameters: Number of outputs for each value of the code.
        classes: Number of classes; None: unconditional.
    """

    def __init__(
        self, config: GridConfig, image_shape: ImageShape, code_parameters: int, classes: int | None
    ) -> None:  # fmt: skip
        super().__init__()
        channels, side, _ = image_shape
        levels = count_code_levels(side, config.get_code_shape(image_shape))
        input_shape = (channels if classes is None else channels + 1, side, side)
        self.trunk = TRUNKS[config.network].Down(input_shape, config.width, config.depth, True, levels)
        self.attention = Attention(self.trunk.channels) if config.attention else nn.Identity()
        self.head = nn.Conv2d(self.trunk.channels, code_parameters * config.code_channels, 3, padding=1)
        self.plane = None if classes is None else nn.Embedding(classes, 1)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the parameters of the posteriors of images, shape (N, code_parameters C', h, w).

        Args:
            images: Shape (N, C, H, W) in [-1, 1], the sides multiples of the downsampling.
            labels: Class of each image, int64, shape (N,); ignored by an unconditional encoder.
        """
        if self.plane is not None:
            images = torch.cat([images, self.plane(labels)[:, :, None, None].expand_as(images[:, :1])], 1)
        parameters: Tensor = self.head(self.attention(self.trunk(images)[-1]))
        return parameters


class GridDecoder(ImageDecoder):
    """Network from a grid of vectors, joined with a learned vector of the class in a conditional model, to an image.

    Args:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images that it is trained with.
        classes: Number of classes; None: unconditional.
    """

    def __init__(self, config: GridConfig, image_shape: ImageShape, classes: int | None) -> None:
        super().__init__()
        channels, height, width = config.get_code_shape(image_shape)
        self.vector = None if classes is None else nn.Embedding(classes, channels)
        code_shape = (channels if classes is None else 2 * channels, height, width)
        self.trunk = TRUNKS[config.network].Up(image_shape, config.width, config.depth, code_shape)
        if config.attention:
            self.trunk.enter = nn.Sequential(self.trunk.enter, Attention(self.trunk.enter.out_channels))

    def pre_tanh(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the unbounded pixels a of the images tanh(a), shape (N, C, f h, f w).

        Args:
            codes: Shape (N, C', h, w).
            labels: Class of each image, int64, shape (N,); ignored by an unconditional decoder.
        """
        dtype = codes.dtype
        if self.vector is not None:
            codes = torch.cat([codes, self.vector(labels)[:, :, None, None].expand_as(codes)], 1)
        pixels: Tensor = self.trunk(codes).to(dtype)
        return pixels

    def get_last_layer(self) -> Tensor:
        """Return the weight of the last layer, a parameter, at which the adaptive weight compares gradients."""
        weight: Tensor = self.trunk.get_last_layer()
        return weight
