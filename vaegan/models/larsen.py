"""The VAE-GAN of Larsen et al. 2016, whose one training forward routes every gradient as algorithm 1 does."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from vaegan.config.models import LarsenFamilyConfig

from .autoencoder import repeat_labels
from .gaussian import GaussianAutoencoder
from .inputs import Labels, get_noise
from .posterior import Posterior


class LarsenOutput(NamedTuple):
    """Output of a training forward of N images."""

    posterior: Posterior
    """q(z | x)."""
    codes: Tensor
    """Sample of each image's posterior, shape (N, d)."""
    reconstruction: Tensor
    """Decoded codes, shape (N, C, S, S) in [-1, 1]; a gradient through them reaches the encoder 1 / gamma times."""
    adversarial_reconstruction: Tensor
    """Reconstruction for the adversarial term: the same values, shape (N, C, S, S), with no gradient to the encoder."""
    generated: Tensor
    """Decoded prior noise, shape (N, C, S, S) in [-1, 1]."""


class Larsen(GaussianAutoencoder):
    """A VAE that also generates G(z), z ~ N(0, I), trained on L_prior + L_llike + L_GAN (algorithm 1).

    Images have shape (N, C, S, S), codes (N, d). The encoder minimises L_prior + L_llike, the decoder
    gamma L_llike + L_GAN, with L_GAN = log D(x) + log(1 - D(x')) + log(1 - D(G(z))), which the discriminator maximises.

    Build it by `Larsen(image_shape=(3, 64, 64), latent_size=128)`; the settings are those of `LarsenConfig`.
    """

    config: LarsenFamilyConfig
    config_class = LarsenFamilyConfig

    def forward(
        self,
        images: Tensor,
        noise: Tensor | None = None,
        prior_noise: Tensor | None = None,
        autocast_dtype: torch.dtype | None = None,
        labels: Labels = None,
    ) -> LarsenOutput:
        """Encode images, sample their codes, and decode these twice and the prior noise once.

        In algorithm 1 the encoder minimises the feature likelihood as it is, the decoder gamma times it. In one summed
        loss it therefore counts gamma times, and the gradient that passes the codes is divided by gamma.

        Args:
            images: Shape (N, C, S, S) in [-1, 1], or uint8 pixels.
            noise: Standard normal noise of the posterior samples, shape (N, d); None: fresh noise.
            prior_noise: Standard normal codes of the generated images, shape (N, d); None: fresh noise.
            autocast_dtype: Autocast type (bfloat16); None: no autocast.
            labels: Class of each image and of the generated image of the same index, int64, shape (N,), or one class
                of all; ignored by an unconditional model.

        Raises:
            UserError: `images`, `noise` or `labels` are not what the model takes.
        """
        images = self.prepare_images(images, check_values=not self.training)
        labels = self.check_forward_labels(labels, len(images))
        with self.autocast(images, autocast_dtype):
            posterior = self._encode(images, labels)
            codes = posterior.sample(noise)
            prior_codes = get_noise("prior_noise", prior_noise, codes)
            scaled = _ScaleGradient.apply(codes, 1 / self.config.gamma)
            decoded = torch.cat([scaled, codes.detach(), prior_codes])
            decoded = self._decode(decoded, repeat_labels(labels, 3)).to(images.dtype)
        return LarsenOutput(posterior, codes, *decoded.split(len(images)))


class _ScaleGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor; x f + (x - x f).detach() would round x away."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.factor, None
