"""Encoder and decoder over a trunk of one of several kinds."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.config.architectures import VectorConfig

from . import TRUNKS


class Encoder(nn.Module):
    """Network from an image, and its class in a conditional model, to the parameters of its posterior.

    The class is one more channel of the image, a learned plane of its own for each class.

    Args:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images.
        code_parameters: Number of outputs for each latent dimension.
        classes: Number of classes; None: unconditional.
    """

    def __init__(
        self, config: VectorConfig, image_shape: tuple[int, int, int], code_parameters: int, classes: int | None
    ) -> None:
        super().__init__()
        channels, side, _ = image_shape
        input_shape = (channels if classes is None else channels + 1, side, side)
        self.trunk = TRUNKS[config.network].Down(input_shape, config.width, config.depth, normalise=True)
        self.head = nn.Linear(self.trunk.feature_size, code_parameters * config.latent_size)
        self.plane = None if classes is None else nn.Embedding(classes, side * side)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the parameters of the posteriors of images, shape (N, code_parameters d).

        Args:
            images: Shape (N, C, S, S) in [-1, 1].
            labels: Class of each image, int64, shape (N,); ignored by an unconditional encoder.
        """
        if self.plane is not None:
            images = torch.cat([images, self.plane(labels).view_as(images[:, :1])], 1)
        parameters: Tensor = self.head(self.trunk(images)[-1].flatten(1))
        return parameters


class ImageDecoder(nn.Module):
    """Base of the networks from a code to an image, which are also generators."""

    def pre_tanh(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the pixels of codes before they are bounded, shape (N, C, S, S).

        Args:
            codes: Shape (N, d), or (N, C, h, w) of a grid.
            labels: Class of each image, int64, shape (N,); ignored by an unconditional decoder.
        """
        raise NotImplementedError

    def bound(self, pixels: Tensor) -> Tensor:
        """Return the images of the pixels that `pre_tanh` has returned."""
        return torch.tanh(pixels)

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the images of codes, with the arguments of `pre_tanh`."""
        return self.bound(self.pre_tanh(codes, labels))

    def get_last_layer(self) -> Tensor:
        """Return the weight of the last layer, a parameter, at which the adaptive weight compares gradients."""
        raise NotImplementedError


class Decoder(ImageDecoder):
    """Network from a code, joined with the one-hot class in a conditional model, to an image; also the generator.

    Args:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images.
        classes: Number of classes; None: unconditional.
    """

    def __init__(self, config: VectorConfig, image_shape: tuple[int, int, int], classes: int | None) -> None:
        super().__init__()
        self.classes = classes
        inputs = config.latent_size + (classes or 0)
        self.trunk = TRUNKS[config.network].Up(image_shape, config.width, config.depth, (inputs,))

    def pre_tanh(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the unbounded pixels a of the images tanh(a), shape (N, C, S, S).

        Args:
            codes: Shape (N, d).
            labels: Class of each image, int64, shape (N,); ignored by an unconditional decoder.
        """
        dtype = codes.dtype
        if self.classes is not None:
            assert labels is not None
            codes = torch.cat([codes, F.one_hot(labels, self.classes).to(dtype)], 1)
        pixels: Tensor = self.trunk(codes).to(dtype)
        return pixels

    def get_last_layer(self) -> Tensor:
        """Return the weight of the last layer, a parameter, at which the adaptive weight compares gradients."""
        weight: Tensor = self.trunk.get_last_layer()
        return weight
