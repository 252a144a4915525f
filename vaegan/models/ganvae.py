"""A GAN whose encoder stands behind the generator: z -> G(z) -> E(G(z))."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.config.models import GANVAEConfig

from .model import autocast
from .posterior import Posterior
from .vae import VAE


class GANVAEOutput(NamedTuple):
    """One training forward of N codes."""

    generated: Tensor
    """The decoded codes, shape (N, C, S, S) in [-1, 1]."""
    cycle: Posterior
    """q(z | G(z)) of them."""


class GANVAE(VAE):
    """G(z), z ~ N(0, I), and q(z | x), which learns from generated images alone."""

    config: GANVAEConfig

    def forward(  # type: ignore[override]
        self, prior: Tensor, autocast_dtype: torch.dtype | None = None, labels: Tensor | None = None
    ) -> GANVAEOutput:
        """Decode the prior's codes, and encode what comes, for training.

        Args:
            prior: Standard normal, shape (N, d).
            arithmetic: As `autocast`.
            labels: Class of each image that is generated, int64, shape (N,); an unconditional model does not look at
                them.
        """
        with autocast(prior, autocast_dtype):
            generated = self._decode(prior, labels).to(prior.dtype)
            return GANVAEOutput(generated, self._encode(generated, labels))
