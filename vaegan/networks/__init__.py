"""Encoder, decoder and discriminator over trunks of three kinds: ``mlp``, ``conv`` and ``resnet``.

Generators use GroupNorm or LayerNorm, discriminators no norm at all; BatchNorm, which would tie an image to
its neighbours in the batch, is used nowhere.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vaegan.config.models import DiscriminatorConfig
from vaegan.errors import Mistake
from vaegan.randomness import seeded

from . import conv, mlp, resnet

KINDS = {"mlp": mlp, "conv": conv, "resnet": resnet}


class Encoder(nn.Module):
    """Image to ``outputs`` numbers (the parameters of a posterior)."""

    def __init__(self, kind: str, image_shape: tuple[int, int, int], width: int, depth: int, outputs: int) -> None:
        super().__init__()
        self.trunk = KINDS[kind].Down(image_shape, width, depth, normalise=True)
        self.head = nn.Linear(self.trunk.features, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, S, S) in [-1, 1] => (N, outputs)."""
        parameters: Tensor = self.head(self.trunk(images)[-1].flatten(1))
        return parameters


class Decoder(nn.Module):
    """Code to image; it is also the generator."""

    def __init__(self, kind: str, image_shape: tuple[int, int, int], width: int, depth: int, latent_size: int) -> None:
        super().__init__()
        self.trunk = KINDS[kind].Up(image_shape, width, depth, latent_size)

    def unbounded(self, codes: Tensor) -> Tensor:
        """Codes (N, d) => what the images are the tanh of, shape (N, C, S, S)."""
        pixels: Tensor = self.trunk(codes)
        return pixels.to(codes.dtype)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (N, d) => images (N, C, S, S) in [-1, 1]."""
        return torch.tanh(self.unbounded(codes))


class Judgement(NamedTuple):
    """What a discriminator says of N images."""

    scores: Tensor
    """Shape (N, 1 to 3), float32 or float64; see `vaegan.losses.adversarial`."""
    features: Tensor
    """Of one of its layers, shape (N, ...)."""


class Discriminator(nn.Module):
    """Image to scores, without any norm.

    Args:
        config: The discriminator.
        image_shape: (C, S, S) of the images.
        scores: Numbers that it gives for each image.

    Raises:
        Mistake: `layer` is beyond its last one.
    """

    def __init__(self, config: DiscriminatorConfig, image_shape: tuple[int, int, int], scores: int) -> None:
        super().__init__()
        self.trunk = KINDS[config.network].Down(image_shape, config.width, config.depth, normalise=False)
        self.head = nn.Linear(self.trunk.features, scores)
        layers = len(self.trunk.stages)
        if config.layer is not None and config.layer > layers:
            raise Mistake(f"model.discriminator.layer: {config.layer} is beyond the last one, {layers}")
        self.layer = config.layer or layers

    def forward(self, images: Tensor, arithmetic: torch.dtype | None = None) -> Judgement:
        """Images (N, C, S, S) in [-1, 1] => scores and features.

        Args:
            images: Real, reconstructed or generated ones, or all of them in one batch.
            arithmetic: Autocast type of the trunk (bfloat16); None: that of the weights, as a gradient penalty needs.
        """
        with torch.autocast(images.device.type, dtype=arithmetic, enabled=arithmetic is not None):
            layers = self.trunk(images)
        features = layers[self.layer - 1].to(images.dtype)
        return Judgement(self.head(layers[-1].to(images.dtype).flatten(1)), features)


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
