"""The variational autoencoder (Kingma & Welling 2014)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vaegan.config.models import GaussianConfig, VAEConfig

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
    pre_tanh: Tensor
    """What the reconstruction is the tanh of, the same shape."""
    scale: Tensor | None
    """Of p(x | z), a scalar, where it is learned; None: it is the config's."""


class Scale(nn.Module):
    """A positive number that is learned by its logarithm."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.logarithm = nn.Parameter(torch.tensor(math.log(start)))

    def forward(self) -> Tensor:
        """A scalar."""
        return self.logarithm.exp()


class VAE(VectorAutoencoder):
    """q(z | x) = N(mean(x), diag variance(x)), p(z) = N(0, I), p(x | z) around G(z).

    Args:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images.
        seed: Root of the initial weights.
    """

    config: GaussianConfig
    code_parameters = 2

    def __init__(self, config: GaussianConfig, image_shape: tuple[int, int, int], seed: int) -> None:
        super().__init__(config, image_shape, seed)
        self.scale = Scale(config.scale) if isinstance(config, VAEConfig) and config.learned_scale else None

    @property
    def described(self) -> GaussianConfig:
        """The config, with the learned scale."""
        return self.config if self.scale is None else self.config.model_copy(update={"scale": self.scale().item()})

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        """q(z | x, y); the log-variance is kept within [-30, 20]."""
        mean, log_variance = self.encoder(images, labels).to(images.dtype).chunk(2, dim=1)
        return Posterior(mean, log_variance.clamp(-30, 20))

    def forward(
        self, images: Tensor, noise: Tensor, autocast_dtype: torch.dtype | None = None, labels: Tensor | None = None
    ) -> VAEOutput:
        """Encode, draw and decode, for training.

        Args:
            images: Shape (N, C, S, S) in [-1, 1].
            noise: Standard normal, shape (N, d); what makes the draw of each image's code.
            arithmetic: As `autocast`.
            labels: Class of each image, int64, shape (N,); an unconditional model does not look at them.
        """
        with autocast(images, autocast_dtype):
            posterior = self._encode(images, labels)
            codes = posterior.sample(noise)
            pre_tanh = self.decoder.pre_tanh(codes, labels).to(images.dtype)
        return VAEOutput(posterior, codes, pre_tanh.tanh(), pre_tanh, self.learned_scale())

    def learned_scale(self) -> Tensor | None:
        """As `VAEOutput.scale`."""
        return None if self.scale is None else self.scale()
