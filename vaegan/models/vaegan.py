"""The VAE-GAN: a VAE whose decoder also generates from the prior."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.config.models import VAEGANConfig

from .autoencoder import repeat_labels
from .model import autocast
from .posterior import Posterior
from .vae import VAE


class VAEGANOutput(NamedTuple):
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
    """As of `VAEOutput`."""
    judged: Tensor
    """The reconstruction as the discriminator's verdict is concerned: the same values, and in the two-way game
    no gradient to the encoder."""
    generated: Tensor
    """The decoded prior noise, shape (N, C, S, S) in [-1, 1]."""
    cycle: Posterior | None
    """q(z | G(z)) of the generated images, where the latent cycle is trained."""


class VAEGAN(VAE):
    """A VAE with G(z), z ~ N(0, I), in every training forward."""

    config: VAEGANConfig

    def forward(  # type: ignore[override]
        self,
        images: Tensor,
        noise: Tensor,
        prior: Tensor,
        autocast_dtype: torch.dtype | None = None,
        labels: Tensor | None = None,
    ) -> VAEGANOutput:
        """Encode and draw, decode the draws and the prior's codes, for training.

        Larsen et al. 2016 (section 2.3) keep the adversarial gradient from the encoder. Their decoder's output
        therefore appears twice, once over codes without a graph, so that one backward routes every term.

        Args:
            images: Shape (N, C, S, S) in [-1, 1].
            noise: Standard normal, shape (N, d); what makes the draw of each image's code.
            prior: Standard normal, shape (N, d); the codes of the generated images.
            arithmetic: As `autocast`.
            labels: As of `VAE`; the generated image of a place is of the class of the real one.
        """
        count = len(images)
        with autocast(images, autocast_dtype):
            posterior = self._encode(images, labels)
            codes = posterior.sample(noise)
            shielded = [codes.detach()] if self.config.discriminator.classes == "two" else []
            every = torch.cat([codes, prior, *shielded])
            pre_tanh = self.decoder.pre_tanh(every, repeat_labels(labels, len(every) // count)).to(images.dtype)
            reconstruction, generated, *judged = pre_tanh.tanh().split(count)
            cycle = self._encode(generated, labels) if self.config.cycle else None
        return VAEGANOutput(
            posterior,
            codes,
            reconstruction,
            pre_tanh[:count],
            self.learned_scale(),
            judged[0] if judged else reconstruction,
            generated,
            cycle,
        )
