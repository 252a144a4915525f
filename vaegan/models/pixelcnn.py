"""A VQ-VAE that can be sampled: a gated PixelCNN over its codes (van den Oord et al. 2016; 2017, section 4.1)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.config.codebooks import PixelCNNConfig
from vaegan.errors import UserError
from vaegan.networks.gated_pixelcnn import GatedPixelCNN
from vaegan.networks.initialise import initialise
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.randomness import make_generator

from .autoencoder import Autoencoder
from .inputs import Labels
from .posterior import Posterior
from .vqvae import VQVAE


class PixelCNNOutput(NamedTuple):
    """Output of a training forward of N images; g is the side of the grid."""

    indices: Tensor
    """Indices of the codebook entries of each image, int64, shape (N, g, g)."""
    logits: Tensor
    """Logits of the K entries at each position given the positions before it, shape (N, K, g, g)."""
    reconstruction: Tensor | None
    """Decoded entries, shape (N, C, S, S) in [-1, 1]; None in training mode, where nothing needs them."""


class PixelCNN(Autoencoder):
    """E and G of a frozen VQ-VAE, and a gated PixelCNN as the prior of its codebook indices, shape (N, g, g).

    p(indices) is the product of p(index | indices before it) in raster order (van den Oord et al. 2016, eq. 1). A
    conditional prior is p(indices | class); E and G do not take the class.

    Build it by `PixelCNN(image_shape=(3, 32, 32), autoencoder=vqvae.config)`; the settings are those of
    `PixelCNNConfig`.

    Args:
        config: The `model` section of a run's config; None: the settings alone.
        image_shape: (C, S, S) of the images, S a multiple of 4.
        seed: Root of the initial weights.
        settings: Settings of `PixelCNNConfig` by name, which replace those of `config`; `autoencoder` is the config of
            the VQ-VAE.

    Raises:
        UserError: `image_shape` is missing or is no such shape, or a setting is wrong or missing.
    """

    config: PixelCNNConfig
    config_class = PixelCNNConfig
    prior_name = "PixelCNN over the codes"
    networks_take_labels = False

    def __init__(
        self,
        config: PixelCNNConfig | None = None,
        image_shape: Sequence[int] | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(config, image_shape, **settings)
        config = self.config
        if config.autoencoder is None:
            raise UserError("PixelCNN: autoencoder: missing; give the config of its VQ-VAE")
        self.autoencoder = VQVAE(config.autoencoder, image_shape, seed).requires_grad_(False)
        self.code_shape = self.autoencoder.code_shape
        self.prior = GatedPixelCNN(config.autoencoder.codes, config.width, config.depth, config.reach, config.labels)
        initialise(self.prior, seed, "prior")

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        """Return the VQ-VAE's posterior over the codes of images."""
        return self.autoencoder.encode(images)

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """Decode codes with the VQ-VAE."""
        return self.autoencoder.decode(codes)

    def encode_indices(self, images: Tensor) -> Tensor:
        """Return the indices of the entries that images (N, C, S, S) in [-1, 1] are encoded to, int64, (N, g, g)."""
        return self.autoencoder.encode_indices(images)

    def prior_nll(self, indices: Tensor, labels: Labels = None) -> Tensor:
        """Compute -log p(indices), or -log p(indices | class), of each image in nats, shape (N,).

        Args:
            indices: Indices of codebook entries, int64, shape (N, g, g).
            labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.

        Raises:
            UserError: `labels` is of another type or shape, names no class of the model, is missing, or is given to an
                unconditional model.
        """
        logits = self.prior(indices, self.check_labels(labels, len(indices), needed=True))
        return F.cross_entropy(logits, indices, reduction="none").flatten(1).sum(1)

    def draw_prior_codes(
        self, start: int, stop: int, seed: int, labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:  # fmt: skip
        """Draw the codes of indices ``start`` to ``stop - 1``, shape (n, d), position by position."""
        side = self.autoencoder.side
        uniform = torch.empty(max(0, stop - start), side, side)
        for row, index in enumerate(range(start, stop)):
            uniform[row] = torch.rand(side, side, generator=make_generator(seed, "codes", index))
        return self.autoencoder.embed(self.prior.draw(uniform, labels, progress))

    def forward(
        self, images: Tensor, autocast_dtype: torch.dtype | None = None, labels: Labels = None
    ) -> PixelCNNOutput:
        """Encode images and predict the index at each position from those before it.

        Args:
            images: Shape (N, C, S, S) in [-1, 1], or uint8 pixels.
            autocast_dtype: Autocast type (bfloat16) of the prior; None: no autocast.
            labels: Class of each image, int64, shape (N,), or one class of all; ignored by an unconditional model.

        Raises:
            UserError: `images` or `labels` are not what the model takes.
        """
        images = self.prepare_images(images, check_values=not self.training)
        labels = self.check_forward_labels(labels, len(images))
        with torch.no_grad():
            indices = self.encode_indices(images)
            reconstruction = None if self.training else self.autoencoder.decode(self.autoencoder.embed(indices))
        with self.autocast(images, autocast_dtype):
            logits = self.prior(indices, labels)
        return PixelCNNOutput(indices, logits.to(images.dtype), reconstruction)
