"""Discriminator over a trunk of one of three kinds, without any norm."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.config.models import DiscriminatorConfig
from vaegan.errors import UserError

from .trunks import TRUNKS


class DiscriminatorOutput(NamedTuple):
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
        UserError: `layer` is beyond its last one.
    """

    def __init__(
        self, config: DiscriminatorConfig, image_shape: tuple[int, int, int], scores: int, labels: int | None = None
    ) -> None:
        super().__init__()
        self.trunk = TRUNKS[config.network].Down(image_shape, config.width, config.depth, normalise=False)
        self.head = nn.Linear(self.trunk.features, scores)
        known = None if labels is None else config.condition
        self.projection = (
            nn.Linear(self.trunk.features, labels, bias=False) if labels and known == "projection" else None
        )
        self.auxiliary = nn.Linear(self.trunk.features, labels) if labels and known == "auxiliary" else None
        layers = len(self.trunk.stages)
        if config.layer is not None and config.layer > layers:
            raise UserError(f"model.discriminator.layer: {config.layer} is beyond the last one, {layers}")
        self.layer = config.layer or layers

    def forward(
        self, images: Tensor, autocast_dtype: torch.dtype | None = None, labels: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Images (N, C, S, S) in [-1, 1] => scores and features.

        The projection is added to the first score. That is D, or r, or the logit of real, so that in each game
        `vaegan.losses.adversarial.realness` rises by it and nothing else changes.

        Args:
            images: Real, reconstructed or generated ones, or all of them in one batch.
            arithmetic: Autocast type of the trunk (bfloat16); None: that of the weights, as a gradient penalty needs.
            labels: Class of each image, int64, shape (N,); looked at by a projection alone.
        """
        with torch.autocast(images.device.type, dtype=autocast_dtype, enabled=autocast_dtype is not None):
            layers = self.trunk(images)
        features, last = layers[self.layer - 1].to(images.dtype), layers[-1].to(images.dtype).flatten(1)
        scores = self.head(last)
        if self.projection is not None:
            assert labels is not None
            projected = (F.embedding(labels, self.projection.weight) * last).sum(1, keepdim=True)
            scores = torch.cat([scores[:, :1] + projected, scores[:, 1:]], 1)
        return DiscriminatorOutput(scores, features, None if self.auxiliary is None else self.auxiliary(last))
