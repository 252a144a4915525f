"""What every family is: an encoder and a decoder, with one small Python API."""

from typing import ClassVar

import torch
from torch import Tensor

from vaegan.config.models import AutoencoderConfig
from vaegan.networks import Decoder, Encoder, initialise
from vaegan.randomness import normal

from .model import Model
from .posterior import Posterior


class Autoencoder(Model):
    """Encoder and decoder of one family.

    Args:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images.
        seed: Root of the initial weights.
    """

    config: AutoencoderConfig
    pictures: ClassVar[tuple[str, ...]] = ("reconstruction", "sample")
    code_parameters: ClassVar[int]
    """Numbers that the encoder gives for each latent dimension."""
    has_prior: ClassVar[bool] = True
    """Whether the family can be sampled."""

    def __init__(self, config: AutoencoderConfig, image_shape: tuple[int, int, int], seed: int) -> None:
        super().__init__(config, image_shape)
        shape = (config.network, image_shape, config.width, config.depth)
        self.encoder = Encoder(*shape, outputs=self.code_parameters * config.latent_size)
        self.decoder = Decoder(*shape, latent_size=config.latent_size)
        initialise(self.encoder, seed, "encoder")
        initialise(self.decoder, seed, "decoder")

    def encode(self, images: Tensor) -> Posterior:
        """What the encoder knows of the codes of images (N, C, S, S) in [-1, 1]."""
        raise NotImplementedError

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (N, d) => images (N, C, S, S) in [-1, 1]."""
        images: Tensor = self.decoder(codes)
        return images

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images (N, C, S, S) in [-1, 1] => what the decoder makes of their posterior means."""
        return self.decode(self.encode(images).mean)

    def sample(self, count: int, seed: int = 0) -> Tensor:
        """Images from the prior.

        Args:
            count: How many.
            seed: Root of the codes; image i is the same whatever the count.

        Returns:
            Shape (count, C, S, S) in [-1, 1].

        Raises:
            Mistake: The family has no prior.
        """
        return self.decode(self.prior_codes(0, count, seed))

    def prior_codes(self, start: int, stop: int, seed: int) -> Tensor:
        """Codes ``start`` to ``stop`` of the endless list that ``seed`` draws from the prior N(0, I), shape (n, d).

        Raises:
            Mistake: The family has no prior.
        """
        codes = torch.empty(max(0, stop - start), self.config.latent_size)
        for row, index in enumerate(range(start, stop)):
            codes[row] = normal((self.config.latent_size,), seed, "codes", index)
        return codes.to(next(self.parameters()))
