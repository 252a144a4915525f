"""What every family is that encodes and decodes images, with one small Python API."""

from typing import ClassVar

import torch
from torch import Tensor

from vaegan.config.models import AutoencoderConfig, VectorConfig
from vaegan.networks import Decoder, Encoder, initialise
from vaegan.randomness import normal

from .density import Density
from .model import Model
from .posterior import Posterior


class Autoencoder(Model):
    """An encoder, a decoder, and a prior of the codes if the family has one."""

    config: AutoencoderConfig
    pictures: ClassVar[tuple[str, ...]] = ("reconstruction", "sample")
    has_prior: ClassVar[bool] = True
    """Whether the family can be sampled without a density that is fitted to its codes."""
    prior_name: ClassVar[str] = "N(0, I)"
    """The prior in a few words, where there is one."""

    def encode(self, images: Tensor) -> Posterior:
        """What the encoder knows of the codes of images (N, C, S, S) in [-1, 1]."""
        raise NotImplementedError

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (N, d) => images (N, C, S, S) in [-1, 1]."""
        raise NotImplementedError

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images (N, C, S, S) in [-1, 1] => what the decoder makes of their posterior means."""
        return self.decode(self.encode(images).mean)

    def sample(self, count: int, seed: int = 0, density: Density | None = None) -> Tensor:
        """Images from the prior, or from a density.

        Args:
            count: How many.
            seed: Root of the codes; image i is the same whatever the count.
            density: What `vaegan.fitting.fitted` has fitted to the codes of the training images; None: the prior.

        Returns:
            Shape (count, C, S, S) in [-1, 1].

        Raises:
            Mistake: The family has no prior, and no density is given.
        """
        return self.decode(self.codes(0, count, seed, density))

    def codes(self, start: int, stop: int, seed: int, density: Density | None) -> Tensor:
        """Codes ``start`` to ``stop`` of the endless list that ``seed`` draws, shape (n, d); ``density`` as `sample`.

        Raises:
            Mistake: As `sample`.
        """
        if density is None:
            return self.prior_codes(start, stop, seed)
        return density.codes(start, stop, seed).to(next(self.parameters()))

    def prior_codes(self, start: int, stop: int, seed: int) -> Tensor:
        """Codes ``start`` to ``stop`` of the endless list that ``seed`` draws from the prior, shape (n, d).

        Raises:
            Mistake: The family has no prior.
        """
        raise NotImplementedError


class VectorAutoencoder(Autoencoder):
    """Encoder and decoder of a family whose code is one vector, with the prior N(0, I).

    Args:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images.
        seed: Root of the initial weights.
    """

    config: VectorConfig
    code_parameters: ClassVar[int]
    """Numbers that the encoder gives for each latent dimension."""

    def __init__(self, config: VectorConfig, image_shape: tuple[int, int, int], seed: int) -> None:
        super().__init__(config, image_shape)
        shape = (config.network, image_shape, config.width, config.depth)
        self.encoder = Encoder(*shape, outputs=self.code_parameters * config.latent_size)
        self.decoder = Decoder(*shape, latent_size=config.latent_size)
        initialise(self.encoder, seed, "encoder")
        initialise(self.decoder, seed, "decoder")

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (N, d) => images (N, C, S, S) in [-1, 1]."""
        images: Tensor = self.decoder(codes)
        return images

    def prior_codes(self, start: int, stop: int, seed: int) -> Tensor:
        """As of `Autoencoder`."""
        codes = torch.empty(max(0, stop - start), self.config.latent_size)
        for row, index in enumerate(range(start, stop)):
            codes[row] = normal((self.config.latent_size,), seed, "codes", index)
        return codes.to(next(self.parameters()))
