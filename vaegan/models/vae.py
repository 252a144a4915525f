"""The variational autoencoder (Kingma & Welling 2014)."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.config.models import VAEFamilyConfig

from .gaussian import GaussianAutoencoder
from .inputs import Labels
from .posterior import Posterior


class VAEOutput(NamedTuple):
    """Output of a training forward of N images."""

    posterior: Posterior
    """q(z | x)."""
    codes: Tensor
    """Sample of each image's posterior, shape (N, d)."""
    reconstruction: Tensor
    """Decoded codes, shape (N, C, S, S) in [-1, 1]."""
    pre_tanh: Tensor
    """Pixels a before the reconstruction tanh(a), or a where the decoder is not bounded, shape (N, C, S, S)."""
    scale: Tensor | None
    """Learned scale of p(x | z), a scalar; None: it is the config's."""


class VAE(GaussianAutoencoder):
    """Variational autoencoder of images x, shape (N, C, S, S), and codes z, shape (N, d).

    q(z | x) = N(mean(x), diag variance(x)), p(z) = N(0, I), p(x | z) with the location G(z) (eq. 9 and appendix C).
    A code is z = mean + sqrt(variance) noise (eq. 10), so that gradients reach the encoder through it.

    Build it by `VAE(image_shape=(1, 32, 32), latent_size=16)`; the settings are those of `VAEConfig`.
    """

    config: VAEFamilyConfig
    config_class = VAEFamilyConfig

    def forward(
        self,
        images: Tensor,
        noise: Tensor | None = None,
        autocast_dtype: torch.dtype | None = None,
        labels: Labels = None,
    ) -> VAEOutput:
        """Encode images, sample their codes and decode them.

        Args:
            images: Shape (N, C, S, S) in [-1, 1], or uint8 pixels.
            noise: Standard normal noise of the posterior samples, shape (N, d); None: fresh noise.
            autocast_dtype: Autocast type (bfloat16); None: no autocast.
            labels: Class of each image, int64, shape (N,), or one class of all; ignored by an unconditional model.

        Raises:
            UserError: `images`, `noise` or `labels` are not what the model takes.
        """
        images = self.prepare_images(images, check_values=not self.training)
        labels = self.check_forward_labels(labels, len(images))
        with self.autocast(images, autocast_dtype):
            posterior = self._encode(images, labels)
            codes = posterior.sample(noise)
            pre_tanh = self.decoder.pre_tanh(self.unflatten(codes), labels).to(images.dtype)
        return VAEOutput(posterior, codes, self.decoder.bound(pre_tanh), pre_tanh, self.get_learned_scale())
