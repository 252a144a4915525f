"""A classifier of a set's own images, whose features are a space to compare other images in."""

import torch
from torch import Tensor, nn

from vaegan.config.models import ClassifierConfig
from vaegan.networks import resnet
from vaegan.networks.initialise import initialise
from vaegan.networks.sizes import count_levels, get_channels

from .model import Model, autocast


class Classifier(Model):
    """Residual blocks, the mean over all places, and one linear layer.

    Args:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images.
        seed: Root of the initial weights.

    Attributes:
        feature_size: d, numbers that `features` gives for each image.
    """

    config: ClassifierConfig

    def __init__(self, config: ClassifierConfig, image_shape: tuple[int, int, int], seed: int) -> None:
        super().__init__(config, image_shape)
        self.feature_size = get_channels(config.width, count_levels(image_shape[-1])[0])
        self.trunk = resnet.Down(image_shape, config.width, config.depth, normalise=True)
        self.head = nn.Linear(self.feature_size, config.classes)
        initialise(self, seed, "classifier")

    def features(self, images: Tensor) -> Tensor:
        """Images (N, C, S, S) in [-1, 1] => what the linear layer sees of them, (N, d)."""
        features: Tensor = self.trunk(images)[-1].mean((2, 3))
        return features

    def forward(self, images: Tensor, autocast_dtype: torch.dtype | None = None) -> Tensor:
        """Images (N, C, S, S) in [-1, 1] => logits (N, classes), in the type of the images; as `autocast`."""
        with autocast(images, autocast_dtype):
            features = self.features(images)
        logits: Tensor = self.head(features.to(images.dtype))
        return logits
