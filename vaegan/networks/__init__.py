"""Encoder, decoder and discriminator over trunks of three kinds: ``mlp``, ``conv`` and ``resnet``.

Generators use GroupNorm or LayerNorm, discriminators no norm at all; BatchNorm, which would tie an image to
its neighbours in the batch, is used nowhere.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.config.models import DiscriminatorConfig
from vaegan.errors import Mistake
from vaegan.randomness import seeded

from . import conv, mlp, resnet

KINDS = {"mlp": mlp, "conv": conv, "resnet": resnet}


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
        self.trunk = KINDS[kind].Down(seen, width, depth, normalise=True)
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
        self.trunk = KINDS[kind].Up(image_shape, width, depth, latent_size + (labels or 0))

    def unbounded(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the images are the tanh of, as `forward`."""
        known = codes
        if self.labels is not None:
            assert labels is not None
            known = torch.cat([codes, F.one_hot(labels, self.labels).to(codes.dtype)], 1)
        pixels: Tensor = self.trunk(known)
        return pixels.to(codes.dtype)

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Codes (N, d) => images (N, C, S, S) in [-1, 1]; ``labels`` as of `Encoder`."""
        return torch.tanh(self.unbounded(codes, labels))


class Judgement(NamedTuple):
    """What a discriminator says of N images."""

    scores: Tensor
    """Shape (N, 1 to 3), float32 or float64; see `vaegan.losses.adversarial`."""
    features: Tensor
    """Of one of its layers, shape (N, ...)."""
    classes: Tensor | None = None
    """Logits of the images' classes, shape (N, labels), as `scores`; None: there is no auxiliary head."""


class Discriminator(nn.Module):
    """Image to scores, without any norm.

    Args:
        config: The discriminator.
        image_shape: (C, S, S) of the images.
        scores: Numbers that it gives for each image.
        labels: Classes of images, known as ``config.condition`` says; None: there are none.

    Raises:
        Mistake: `layer` is beyond its last one.
    """

    def __init__(
        self, config: DiscriminatorConfig, image_shape: tuple[int, int, int], scores: int, labels: int | None = None
    ) -> None:
        super().__init__()
        self.trunk = KINDS[config.network].Down(image_shape, config.width, config.depth, normalise=False)
        self.head = nn.Linear(self.trunk.features, scores)
        known = None if labels is None else config.condition
        self.projection = (
            nn.Linear(self.trunk.features, labels, bias=False) if labels and known == "projection" else None
        )
        self.auxiliary = nn.Linear(self.trunk.features, labels) if labels and known == "auxiliary" else None
        layers = len(self.trunk.stages)
        if config.layer is not None and config.layer > layers:
            raise Mistake(f"model.discriminator.layer: {config.layer} is beyond the last one, {layers}")
        self.layer = config.layer or layers

    def forward(self, images: Tensor, arithmetic: torch.dtype | None = None, labels: Tensor | None = None) -> Judgement:
        """Images (N, C, S, S) in [-1, 1] => scores and features.

        The projection is added to the first score. That is D, or r, or the logit of real, so that in each game
        `vaegan.losses.adversarial.realness` rises by it and nothing else changes.

        Args:
            images: Real, reconstructed or generated ones, or all of them in one batch.
            arithmetic: Autocast type of the trunk (bfloat16); None: that of the weights, as a gradient penalty needs.
            labels: Class of each image, int64, shape (N,); looked at by a projection alone.
        """
        with torch.autocast(images.device.type, dtype=arithmetic, enabled=arithmetic is not None):
            layers = self.trunk(images)
        features, last = layers[self.layer - 1].to(images.dtype), layers[-1].to(images.dtype).flatten(1)
        scores = self.head(last)
        if self.projection is not None:
            assert labels is not None
            projected = (F.embedding(labels, self.projection.weight) * last).sum(1, keepdim=True)
            scores = torch.cat([scores[:, :1] + projected, scores[:, 1:]], 1)
        return Judgement(scores, features, None if self.auxiliary is None else self.auxiliary(last))


def initialise(network: nn.Module, seed: int, name: str) -> None:
    """Draw the weights as a function of ``seed`` and the network's ``name`` alone (He et al. 2015, torch's fan-in).

    Networks of the same shape and name start equal whatever else the variant trains. Biases start at 0.
    """
    with seeded(seed, "initialise", name):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, a=0.2)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.Embedding):
                nn.init.normal_(layer.weight)
