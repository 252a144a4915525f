"""The variational autoencoder (Kingma & Welling 2014)."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.config.models import GaussianConfig

from .autoencoder import VectorAutoencoder
from .model import autocast
from .posterior import Posterior


class VAEOutput(NamedTuple):
    """One training forward of N images."""

    posterior: Posterior
    """q(z | x)."""
    codes: Tensor
    """One draw of it for each image, shape (N, d)."""
    reconstruction: Tensor
    """The decoded codes, shape (N, C, S, S) in [-1, 1]."""


class VAE(VectorAutoencoder):
    """q(z | x) = N(mean(x), diag variance(x)), p(z) = N(0, I), p(x | z) around G(z)."""

    config: GaussianConfig
    code_parameters = 2

    def encode(self, images: Tensor) -> Posterior:
        """q(z | x) of images (N, C, S, S) in [-1, 1]; the log-variance is kept within [-30, 20]."""
        mean, log_variance = self.encoder(images).to(images.dtype).chunk(2, dim=1)
        return Posterior(mean, log_variance.clamp(-30, 20))

    def forward(self, images: Tensor, noise: Tensor, arithmetic: torch.dtype | None = None) -> VAEOutput:
        """Encode, draw and decode, for training.

        Args:
            images: Shape (N, C, S, S) in [-1, 1].
            noise: Standard normal, shape (N, d); what makes the draw of each image's code.
            arithmetic: As `autocast`.
        """
        with autocast(images, arithmetic):
            posterior = self.encode(images)
            codes = posterior.sample(noise)
            reconstruction = self.decode(codes).to(images.dtype)
        return VAEOutput(posterior, codes, reconstruction)
