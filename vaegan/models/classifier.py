"""A classifier of a data set's images, whose features are a space to compare images in."""

import torch
from torch import Tensor, nn

from vaegan.config.models import ClassifierConfig
from vaegan.networks import resnet
from vaegan.networks.initialise import initialise
from vaegan.networks.sizes import count_levels, get_channels

from .model import Model


class Classifier(Model):
    """Residual blocks, the mean over all positions, and one linear layer.

    Args:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images.
        seed: Root of the initial weights.

    Attributes:
        feature_size: Number d of features of an image.
    """

    config: ClassifierConfig

    def __init__(self, config: ClassifierConfig, image_shape: tuple[int, int, int], seed: int) -> None:
        super().__init__(config, image_shape)
        self.feature_size = get_channels(config.width, count_levels(image_shape[-1])[0])
        self.trunk = resnet.Down(image_shape, config.width, config.depth, normalise=True)
        self.head = nn.Linear(self.feature_size, config.classes)
        initialise(self, seed, "classifier")

    def features(self, images: Tensor) -> Tensor:
        """Compute the features of images (N, C, S, S) in [-1, 1], the inputs of the linear layer, shape (N, d)."""
        features: Tensor = self.trunk(images)[-1].mean((2, 3))
        return features

    def forward(self, images: Tensor, autocast_dtype: torch.dtype | None = None) -> Tensor:
        """Compute the logits of images, shape (N, classes), in the type of the images.

        Args:
            images: Shape (N, C, S, S) in [-1, 1].
            autocast_dtype: Autocast type (bfloat16) of the features; None: no autocast.
        """
        with self.autocast(images, autocast_dtype):
            features = self.features(images)
        logits: Tensor = self.head(features.to(images.dtype))
        return logits
