"""The VAE-GAN of Larsen et al. 2016, whose one training forward routes every gradient as algorithm 1 does."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from vaegan.config.models import LarsenConfig

from .autoencoder import repeat_labels
from .model import autocast
from .posterior import Posterior
from .vae import VAE


class LarsenOutput(NamedTuple):
    """One training forward of N images."""

    posterior: Posterior
    """q(z | x)."""
    codes: Tensor
    """One draw of it for each image, shape (N, d)."""
    reconstruction: Tensor
    """The decoded codes, shape (N, C, S, S) in [-1, 1]; a gradient through it reaches the encoder 1 / gamma times."""
    judged: Tensor
    """The same values, without a gradient to the encoder."""
    generated: Tensor
    """The decoded prior noise, shape (N, C, S, S) in [-1, 1]."""


class Larsen(VAE):
    """A VAE with G(z), z ~ N(0, I), in every training forward."""

    config: LarsenConfig

    def forward(  # type: ignore[override]
        self,
        images: Tensor,
        noise: Tensor,
        prior: Tensor,
        autocast_dtype: torch.dtype | None = None,
        labels: Tensor | None = None,
    ) -> LarsenOutput:
        """Encode and draw, decode the draws twice and the prior's codes once, for training.

        In algorithm 1 the encoder minimises the feature likelihood as it is, the decoder gamma times it. In one summed
        loss it therefore counts gamma times, and the gradient that passes the codes is divided by gamma.

        Args:
            images: Shape (N, C, S, S) in [-1, 1].
            noise: Standard normal, shape (N, d); what makes the draw of each image's code.
            prior: Standard normal, shape (N, d); the codes of the generated images.
            arithmetic: As `autocast`.
            labels: As of `VAEGAN`.
        """
        with autocast(images, autocast_dtype):
            posterior = self._encode(images, labels)
            codes = posterior.sample(noise)
            passed = _ScaledGradient.apply(codes, 1 / self.config.gamma)
            decoded = self._decode(torch.cat([passed, codes.detach(), prior]), repeat_labels(labels, 3)).to(
                images.dtype
            )
        return LarsenOutput(posterior, codes, *decoded.split(len(images)))


class _ScaledGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor; x f + (x - x f).detach() would round x away."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.factor, None
