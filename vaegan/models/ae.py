"""The deterministic autoencoder: the baseline that reconstructs and has no prior to be sampled from."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.progress import ProgressCallback, ignore_progress

from .autoencoder import VectorAutoencoder
from .model import autocast
from .posterior import Posterior, make_deterministic


class AEOutput(NamedTuple):
    """One training forward of N images."""

    posterior: Posterior
    """Of variance 0."""
    reconstruction: Tensor
    """Shape (N, C, S, S)."""


class AE(VectorAutoencoder):
    """z = E(x), x' = G(z)."""

    pictures = ("reconstruction",)
    code_parameters = 1
    has_prior = False

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        """The code of each image, with variance 0."""
        return make_deterministic(self.encoder(images).to(images.dtype))

    def prior_codes(
        self,
        start: int,
        stop: int,
        seed: int,
        labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:
        """Refused: an autoencoder has no prior.

        Raises:
            UserError: Always.
        """
        raise UserError(
            "model.family=ae: it has no prior to sample from; fit a density to its codes with --density gmm"
        )

    def forward(self, images: Tensor, autocast_dtype: torch.dtype | None = None) -> AEOutput:
        """Reconstruct images (N, C, S, S) in [-1, 1], for training; ``autocast_dtype`` as `autocast`."""
        with autocast(images, autocast_dtype):
            posterior = self._encode(images, None)
            reconstruction = self._decode(posterior.mean, None).to(images.dtype)
        return AEOutput(posterior, reconstruction)
