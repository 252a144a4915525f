"""Encoder and decoder over a trunk of one of three kinds."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import TRUNKS


class Encoder(nn.Module):
    """Network from an image, and its class in a conditional model, to the parameters of its posterior.

    The class is one more channel of the image, a learned plane of its own for each class.

    Args:
        kind: Kind of trunk, a key of `TRUNKS`.
        image_shape: (C, S, S) of the images.
        width: Channels at full resolution, or units of each hidden layer.
        depth: Layers at each resolution, or hidden layers.
        outputs: Number of outputs of each image.
        classes: Number of classes; None: unconditional.
    """

    def __init__(
        self, kind: str, image_shape: tuple[int, int, int], width: int, depth: int, outputs: int,
        classes: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        channels, side, _ = image_shape
        input_shape = (channels if classes is None else channels + 1, side, side)
        self.trunk = TRUNKS[kind].Down(input_shape, width, depth, normalise=True)
        self.head = nn.Linear(self.trunk.feature_size, outputs)
        self.plane = None if classes is None else nn.Embedding(classes, side * side)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the outputs of images, shape (N, outputs).

        Args:
            images: Shape (N, C, S, S) in [-1, 1].
            labels: Class of each image, int64, shape (N,); ignored by an unconditional encoder.
        """
        if self.plane is not None:
            images = torch.cat([images, self.plane(labels).view_as(images[:, :1])], 1)
        parameters: Tensor = self.head(self.trunk(images)[-1].flatten(1))
        return parameters


class Decoder(nn.Module):
    """Network from a code, and the one-hot class beside it in a conditional model, to an image; also the generator.

    Args:
        kind: Kind of trunk, a key of `TRUNKS`.
        image_shape: (C, S, S) of the images.
        width: Channels at full resolution, or units of each hidden layer.
        depth: Layers at each resolution, or hidden layers.
        latent_size: Dimensions d of the code.
        classes: Number of classes; None: unconditional.
    """

    def __init__(
        self, kind: str, image_shape: tuple[int, int, int], width: int, depth: int, latent_size: int,
        classes: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes = classes
        self.trunk = TRUNKS[kind].Up(image_shape, width, depth, latent_size + (classes or 0))

    def pre_tanh(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the unbounded pixels a of the images tanh(a), shape (N, C, S, S).

        Args:
            codes: Shape (N, d).
            labels: Class of each image, int64, shape (N,); ignored by an unconditional decoder.
        """
        inputs = codes
        if self.classes is not None:
            assert labels is not None
            inputs = torch.cat([codes, F.one_hot(labels, self.classes).to(codes.dtype)], 1)
        pixels: Tensor = self.trunk(inputs)
        return pixels.to(codes.dtype)

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the images of codes, shape (N, C, S, S) in [-1, 1].

        Args:
            codes: Shape (N, d).
            labels: Class of each image, int64, shape (N,); ignored by an unconditional decoder.
        """
        return torch.tanh(self.pre_tanh(codes, labels))
