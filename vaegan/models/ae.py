"""The deterministic autoencoder: the baseline, which reconstructs and has no prior to sample from."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.config.models import AEFamilyConfig

from .continuous import ContinuousAutoencoder
from .posterior import Posterior, make_deterministic


class AEOutput(NamedTuple):
    """Output of a training forward of N images."""

    posterior: Posterior
    """Codes, with variance 0."""
    reconstruction: Tensor
    """Decoded codes, shape (N, C, S, S) in [-1, 1]."""


class AE(ContinuousAutoencoder):
    """z = E(x), x' = G(z), for images x of shape (N, C, S, S) and codes z of shape (N, d); there is no prior p(z).

    Build it by `AE(image_shape=(1, 32, 32), latent_size=16)`; the settings are those of `AEConfig`.
    """

    config: AEFamilyConfig
    config_class = AEFamilyConfig
    grid_names = ("reconstruction",)
    code_parameters = 1
    has_prior = False
    no_prior_message = (
        "model.family=ae: it has no prior to sample from; fit a density to its codes with --density gmm,"
        " or in Python with vaegan.density_fitting"
    )

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        """Return the code of each image, with variance 0."""
        return make_deterministic(self.encoder(images).to(images.dtype).flatten(1))

    def forward(self, images: Tensor, autocast_dtype: torch.dtype | None = None) -> AEOutput:
        """Encode and decode images.

        Args:
            images: Shape (N, C, S, S) in [-1, 1], or uint8 pixels.
            autocast_dtype: Autocast type (bfloat16); None: no autocast.
        """
        images = self.prepare_images(images, check_values=not self.training)
        with self.autocast(images, autocast_dtype):
            posterior = self._encode(images, None)
            reconstruction = self._decode(posterior.mean, None).to(images.dtype)
        return AEOutput(posterior, reconstruction)
