"""A VQ-VAE that can be sampled: a gated PixelCNN over its codes (van den Oord et al. 2016; 2017, section 4.1)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.config.models import PixelCNNConfig
from vaegan.networks.gated_pixelcnn import GatedPixelCNN
from vaegan.networks.initialise import initialise
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.randomness import make_generator

from .autoencoder import Autoencoder
from .model import autocast
from .posterior import Posterior
from .vqvae import VQVAE


class PixelCNNOutput(NamedTuple):
    """One training forward of N images; g is the side of the grid."""

    indices: Tensor
    """The entries that stand for each image, int64, shape (N, g, g)."""
    logits: Tensor
    """What the prior expected at each place, shape (N, K, g, g)."""


class PixelCNN(Autoencoder):
    """E and G of a frozen VQ-VAE, and p(codes) in place of its uniform prior.

    A conditional one is p(codes | class); E and G know no class, and need none.

    Args:
        config: The `model` section of a run's config, with the VQ-VAE's.
        image_shape: (C, S, S) of the images.
        seed: Root of the initial weights.
    """

    config: PixelCNNConfig
    prior_name = "PixelCNN over the codes"
    networks_know_class = False

    def __init__(self, config: PixelCNNConfig, image_shape: tuple[int, int, int], seed: int) -> None:
        super().__init__(config, image_shape)
        assert config.autoencoder is not None
        self.autoencoder = VQVAE(config.autoencoder, image_shape, seed).requires_grad_(False)
        self.prior = GatedPixelCNN(config.autoencoder.codes, config.width, config.depth, config.reach, config.labels)
        initialise(self.prior, seed, "prior")

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        """As the VQ-VAE."""
        return self.autoencoder.encode(images)

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """As the VQ-VAE."""
        return self.autoencoder.decode(codes)

    def indices(self, images: Tensor) -> Tensor:
        """As the VQ-VAE."""
        return self.autoencoder.indices(images)

    def surprise(self, indices: Tensor, labels: Tensor | None = None) -> Tensor:
        """-log p of the codes of each image, int64 (N, g, g) => nats (N,); ``labels`` as of `check_labels`."""
        logits = self.prior(indices, self.check_labels(labels, len(indices), needed=True))
        return F.cross_entropy(logits, indices, reduction="none").flatten(1).sum(1)

    def prior_codes(
        self,
        start: int,
        stop: int,
        seed: int,
        labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:
        """As of `Autoencoder`; one is drawn after the other place by place, all of them at once."""
        side = self.autoencoder.side
        uniform = torch.empty(max(0, stop - start), side, side)
        for row, index in enumerate(range(start, stop)):
            uniform[row] = torch.rand(side, side, generator=make_generator(seed, "codes", index))
        return self.autoencoder.embed(self.prior.draw(uniform, labels, progress))

    def forward(
        self, images: Tensor, autocast_dtype: torch.dtype | None = None, labels: Tensor | None = None
    ) -> PixelCNNOutput:
        """Encode images and foretell their codes.

        Args:
            images: Shape (N, C, S, S) in [-1, 1].
            arithmetic: As `autocast`.
            labels: Class of each image, int64, shape (N,); an unconditional model does not look at them.
        """
        with torch.no_grad():
            indices = self.indices(images)
        with autocast(images, autocast_dtype):
            logits = self.prior(indices, labels)
        return PixelCNNOutput(indices, logits.to(images.dtype))
