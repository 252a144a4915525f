"""Encoder and decoder over a trunk of one of three kinds."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .trunks import TRUNKS


class Encoder(nn.Module):
    """Image, and its class where there are ``labels`` of them, to ``outputs`` numbers (those of a posterior).

    The class comes as one more channel of the image, which is learned.
    """

    def __init__(
        self, kind: str, image_shape: tuple[int, int, int], width: int, depth: int, outputs: int,
        labels: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        channels, side, _ = image_shape
        seen = (channels if labels is None else channels + 1, side, side)
        self.trunk = TRUNKS[kind].Down(seen, width, depth, normalise=True)
        self.head = nn.Linear(self.trunk.features, outputs)
        self.plane = None if labels is None else nn.Embedding(labels, side * side)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, C, S, S) in [-1, 1] => (N, outputs); ``labels`` int64 (N,), looked at where there are classes."""
        if self.plane is not None:
            images = torch.cat([images, self.plane(labels).view_as(images[:, :1])], 1)
        parameters: Tensor = self.head(self.trunk(images)[-1].flatten(1))
        return parameters


class Decoder(nn.Module):
    """Code, beside which the class stands one-hot where there are ``labels`` of them, to image; also the generator."""

    def __init__(
        self, kind: str, image_shape: tuple[int, int, int], width: int, depth: int, latent_size: int,
        labels: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.labels = labels
        self.trunk = TRUNKS[kind].Up(image_shape, width, depth, latent_size + (labels or 0))

    def pre_tanh(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the images are the tanh of, as `forward`."""
        known = codes
        if self.labels is not None:
            assert labels is not None
            known = torch.cat([codes, F.one_hot(labels, self.labels).to(codes.dtype)], 1)
        pixels: Tensor = self.trunk(known)
        return pixels.to(codes.dtype)

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Codes (N, d) => images (N, C, S, S) in [-1, 1]; ``labels`` as of `Encoder`."""
        return torch.tanh(self.pre_tanh(codes, labels))
