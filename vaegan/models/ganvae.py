"""A GAN with an encoder behind its generator: z -> G(z) -> E(G(z))."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.config.models import GANVAEConfig

from .gaussian import GaussianAutoencoder
from .posterior import Posterior


class GANVAEOutput(NamedTuple):
    """Output of a training forward of N codes."""

    generated: Tensor
    """Decoded prior noise, shape (N, C, S, S) in [-1, 1]."""
    cycle: Posterior
    """q(z | G(z)) of the generated images."""


class GANVAE(GaussianAutoencoder):
    """G(z), z ~ N(0, I), and q(z | x), which is trained on generated images alone, by -log q(z | G(z)).

    Images have shape (N, C, S, S), codes (N, d).
    """

    config: GANVAEConfig
    config_class = GANVAEConfig

    def forward(
        self, prior_noise: Tensor, autocast_dtype: torch.dtype | None = None, labels: Tensor | None = None
    ) -> GANVAEOutput:
        """Decode prior noise and encode the generated images, for training.

        Args:
            prior_noise: Standard normal codes of the generated images, shape (N, d).
            autocast_dtype: Autocast type (bfloat16); None: no autocast.
            labels: Class of each generated image, int64, shape (N,); ignored by an unconditional model.
        """
        with self.autocast(prior_noise, autocast_dtype):
            generated = self._decode(prior_noise, labels).to(prior_noise.dtype)
            return GANVAEOutput(generated, self._encode(generated, labels))
