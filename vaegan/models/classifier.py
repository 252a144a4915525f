"""A classifier of a data set's images, whose features are a space to compare images in."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vaegan.config.classifier import ClassifierConfig
from vaegan.networks import resnet
from vaegan.networks.initialise import initialise
from vaegan.networks.sizes import count_levels, get_channels

from .model import Model


class Classifier(Model):
    """Residual blocks, the mean over all positions, and one linear layer.

    Build it by `Classifier(image_shape=(3, 32, 32), classes=10)`; the settings are those of `ClassifierConfig`.

    Args:
        config: The `model` section of a run's config; None: the settings alone.
        image_shape: (C, S, S) of the images, S a multiple of 4.
        seed: Root of the initial weights.
        settings: Settings of `ClassifierConfig` by name, which replace those of `config`.

    Raises:
        UserError: `image_shape` is missing or is no such shape, or a setting is wrong or missing.

    Attributes:
        feature_size: Number d of features of an image.
    """

    config: ClassifierConfig
    config_class = ClassifierConfig

    def __init__(
        self,
        config: ClassifierConfig | None = None,
        image_shape: Sequence[int] | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(config, image_shape, **settings)
        config = self.config
        self.feature_size = get_channels(config.width, count_levels(self.image_shape[-1])[0])
        self.trunk = resnet.Down(self.image_shape, config.width, config.depth, normalise=True)
        self.head = nn.Linear(self.feature_size, config.classes)
        initialise(self, seed, "classifier")

    def features(self, images: Tensor) -> Tensor:
        """Compute the features of images (N, C, S, S), the inputs of the linear layer, shape (N, d).

        Raises:
            UserError: `images` are neither in [-1, 1], of the model's dtype and device, nor uint8 pixels.
        """
        images = self.prepare_images(images, check_values=not self.training)
        features: Tensor = self.trunk(images)[-1].mean((2, 3))
        return features

    def forward(self, images: Tensor, autocast_dtype: torch.dtype | None = None) -> Tensor:
        """Compute the logits of images, shape (N, classes), in the type of the images.

        Args:
            images: Shape (N, C, S, S) in [-1, 1], or uint8 pixels.
            autocast_dtype: Autocast type (bfloat16) of the features; None: no autocast.
        """
        images = self.prepare_images(images, check_values=not self.training)
        with self.autocast(images, autocast_dtype):
            features = self.features(images)
        logits: Tensor = self.head(features.to(images.dtype))
        return logits
