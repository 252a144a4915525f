"""A GAN with an encoder behind its generator: z -> G(z) -> E(G(z))."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.config.models import GANVAEFamilyConfig
from vaegan.errors import UserError

from .gaussian import GaussianAutoencoder
from .inputs import Labels, check_tensor
from .posterior import Posterior


class GANVAEOutput(NamedTuple):
    """Output of a forward; a training gives it only codes, and no images."""

    generated: Tensor
    """Decoded prior noise, shape (N, C, S, S) in [-1, 1]."""
    cycle: Posterior
    """q(z | G(z)) of the generated images."""
    posterior: Posterior | None = None
    """q(z | x); None: no images were given."""
    reconstruction: Tensor | None = None
    """Decoded sample of each image's posterior, shape (N, C, S, S) in [-1, 1]; None: no images were given."""


class GANVAE(GaussianAutoencoder):
    """G(z), z ~ N(0, I), and q(z | x), which is trained on generated images alone, by -log q(z | G(z)).

    Images have shape (N, C, S, S), codes (N, d).

    Build it by `GANVAE(image_shape=(1, 32, 32), latent_size=16)`; the settings are those of `GANVAEConfig`.
    """

    config: GANVAEFamilyConfig
    config_class = GANVAEFamilyConfig

    def forward(
        self,
        images: Tensor | None = None,
        noise: Tensor | None = None,
        prior_noise: Tensor | None = None,
        autocast_dtype: torch.dtype | None = None,
        labels: Labels = None,
    ) -> GANVAEOutput:
        """Decode prior noise and encode the generated images; if images are given, encode and decode these too.

        Args:
            images: Shape (N, C, S, S) in [-1, 1]; None: none, as in training, which sees generated images alone.
            noise: Standard normal noise of the posterior samples, shape (N, d); None: fresh noise.
            prior_noise: Standard normal codes of the generated images, shape (N, d); None: fresh noise.
            autocast_dtype: Autocast type (bfloat16); None: no autocast.
            labels: Class of each image and of the generated image of the same index, int64, shape (N,), or one class
                of all; ignored by an unconditional model.

        Raises:
            UserError: `images`, `noise` or `labels` are not what the model takes, or there are neither images nor
                prior noise.
        """
        if images is not None:
            images = self.prepare_images(images, check_values=not self.training)
        if prior_noise is None:
            if images is None:
                raise UserError("images: missing; give images, or as prior_noise the codes of generated ones")
            prior_noise = images.new_empty(len(images), self.code_size).normal_()
        check_tensor("prior_noise", prior_noise, (self.code_size,), next(self.parameters()))
        labels = self.check_forward_labels(labels, len(prior_noise))
        with self.autocast(prior_noise, autocast_dtype):
            generated = self._decode(prior_noise, labels).to(prior_noise.dtype)
            cycle = self._encode(generated, labels)
            if images is None:
                return GANVAEOutput(generated, cycle)
            posterior = self._encode(images, labels)
            reconstruction = self._decode(posterior.sample(noise), labels).to(images.dtype)
        return GANVAEOutput(generated, cycle, posterior, reconstruction)
