"""The VAE-GAN: a VAE whose decoder also generates from the prior."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.config.models import VAEGANFamilyConfig

from .autoencoder import repeat_labels
from .gaussian import GaussianAutoencoder
from .inputs import Labels, get_noise
from .posterior import Posterior


class VAEGANOutput(NamedTuple):
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
    adversarial_reconstruction: Tensor
    """Reconstruction for the adversarial term: the same values, shape (N, C, S, S), with no gradient to the encoder
    under a two-way discriminator."""
    generated: Tensor | None
    """Decoded prior noise, shape (N, C, S, S) in [-1, 1]; None: the discriminator sees none."""
    cycle: Posterior | None
    """q(z | G(z)) of the generated images; None: the latent cycle is not trained."""


class VAEGAN(GaussianAutoencoder):
    """A VAE that also generates G(z), z ~ N(0, I), for a two-way or three-way discriminator of images (N, C, S, S).

    Its discriminator sees real images x, reconstructions G(z), z ~ q(z | x), and generated images G(z), z ~ p(z)
    (Larsen et al. 2016, section 2.3). The adversarial term has a gradient to the encoder only with
    a three-way discriminator: the decoder is shared, so only the codes can make reconstructed images differ from
    generated ones. A discriminator of real and reconstructed images alone gives that gradient too.

    Build it by `VAEGAN(image_shape=(3, 64, 64), latent_size=64, discriminator={"classes": "two"})`; the settings are
    those of `VAEGANConfig`.
    """

    config: VAEGANFamilyConfig
    config_class = VAEGANFamilyConfig

    def forward(
        self,
        images: Tensor,
        noise: Tensor | None = None,
        prior_noise: Tensor | None = None,
        autocast_dtype: torch.dtype | None = None,
        labels: Labels = None,
    ) -> VAEGANOutput:
        """Encode images, sample their codes, and decode these and the prior noise.

        Larsen et al. 2016 (section 2.3) keep the adversarial gradient from the encoder. The decoder's output therefore
        appears twice, once over codes without a graph, so that one backward routes every term.

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
        count = len(images)
        labels = self.check_forward_labels(labels, count)
        with self.autocast(images, autocast_dtype):
            posterior = self._encode(images, labels)
            codes = posterior.sample(noise)
            classes = self.config.discriminator.classes
            prior_codes = [] if classes == "reconstructed" else [get_noise("prior_noise", prior_noise, codes)]
            adversarial_codes = [codes.detach()] if classes == "two" else []
            decoded = torch.cat([codes, *prior_codes, *adversarial_codes])
            all_labels = repeat_labels(labels, len(decoded) // count)
            pre_tanh = self.decoder.pre_tanh(self.unflatten(decoded), all_labels).to(images.dtype)
            reconstruction, *others = self.decoder.bound(pre_tanh).split(count)
            generated = others[0] if prior_codes else None
            cycle = self._encode(generated, labels) if self.config.cycle and generated is not None else None
        scale, adversarial = self.get_learned_scale(), others[-1] if adversarial_codes else reconstruction
        return VAEGANOutput(posterior, codes, reconstruction, pre_tanh[:count], scale, adversarial, generated, cycle)
