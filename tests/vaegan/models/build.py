"""Models of 8x8 images and their inputs."""

import torch
from torch import Tensor

from vaegan.models import Autoencoder, build_model

from ...tiny import tiny

IMAGE_SHAPE = (1, 8, 8)


def build(name: str, *overrides: str, seed: int = 0) -> Autoencoder:
    """Build the autoencoder of a family of `AUTOENCODERS`, with ``key.sub=value`` overrides."""
    model = build_model(tiny(name, *overrides).model, IMAGE_SHAPE, seed)
    assert isinstance(model, Autoencoder)
    return model


def draw_images(count: int = 6) -> Tensor:
    """Draw images of uniform noise, shape (N, 1, 8, 8) in [-1, 1]."""
    return torch.rand(count, *IMAGE_SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1
