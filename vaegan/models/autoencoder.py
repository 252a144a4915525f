"""What every family is that encodes and decodes images, with one small Python API."""

from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from vaegan.config.models import AutoencoderConfig, VectorConfig
from vaegan.errors import UserError
from vaegan.networks.autoencoder import Decoder, Encoder
from vaegan.networks.initialise import initialise
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.randomness import draw_normal

from .density import Density
from .model import Model
from .posterior import Posterior

Labels: TypeAlias = Tensor | int | None
"""The class of each image, int64 of shape (N,), or that of all of them."""


class Autoencoder(Model):
    """An encoder, a decoder, and a prior of the codes if the family has one."""

    config: AutoencoderConfig
    pictures: ClassVar[tuple[str, ...]] = ("reconstruction", "sample")
    has_prior: ClassVar[bool] = True
    """Whether the family can be sampled without a density that is fitted to its codes."""
    prior_name: ClassVar[str] = "N(0, I)"
    """The prior in a few words, where there is one."""
    networks_know_class: ClassVar[bool] = True
    """Whether encoder and decoder of a conditional model know the class; else its prior alone does."""

    def encode(self, images: Tensor, labels: Labels = None) -> Posterior:
        """What the encoder knows of the codes of images.

        Args:
            images: Shape (N, C, S, S) in [-1, 1].
            labels: As of `check_labels`.

        Raises:
            UserError: As `check_labels`.
        """
        return self._encode(images, self.check_labels(labels, len(images)))

    def decode(self, codes: Tensor, labels: Labels = None) -> Tensor:
        """Codes (N, d) => images (N, C, S, S) in [-1, 1]; ``labels`` and errors as of `encode`."""
        return self._decode(codes, self.check_labels(labels, len(codes)))

    def reconstruct(self, images: Tensor, labels: Labels = None) -> Tensor:
        """Images => what the decoder makes of their posterior means; all as of `encode`."""
        return self.decode(self.encode(images, labels).mean, labels)

    def sample(self, count: int, seed: int = 0, density: Density | None = None, labels: Labels = None) -> Tensor:
        """Images from the prior, or from a density.

        Args:
            count: How many.
            seed: Root of the codes; image i is the same whatever the count.
            density: What `vaegan.fitting.fitted` has fitted to the codes of the training images; None: the prior.
            labels: As of `check_labels`; None: of a conditional model image i is of class i % `classes`.

        Returns:
            Shape (count, C, S, S) in [-1, 1].

        Raises:
            UserError: The family has no prior, and no density is given; or as `check_labels`.
        """
        return self.sample_range(0, count, seed, density, labels)

    def sample_range(
        self, start: int, stop: int, seed: int, density: Density | None = None, labels: Labels = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:  # fmt: skip
        """Images ``start`` to ``stop`` of the endless list of which `sample` gives the first; all else as there.

        ``progress`` is told of the parts of codes that come about one after the other.
        """
        if labels is None and self.classes is not None:
            labels = cycle_labels(start, stop, self.classes)
        known = self.check_labels(labels, max(0, stop - start))
        return self._decode(self.codes(start, stop, seed, density, known, progress), known)

    def codes(
        self, start: int, stop: int, seed: int, density: Density | None, labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:  # fmt: skip
        """Codes ``start`` to ``stop`` of the endless list that ``seed`` draws, shape (n, d).

        Args:
            start: The first.
            stop: That after the last.
            seed: As of `sample`.
            density: As of `sample`.
            labels: Class of each, int64, shape (n,), where the prior is one for each class.
            progress: As of `sample_range`.

        Raises:
            UserError: As `sample`.
        """
        if density is None:
            return self.prior_codes(start, stop, seed, labels, progress)
        return density.codes(start, stop, seed).to(next(self.parameters()))

    def check_labels(self, labels: Labels, count: int, needed: bool | None = None) -> Tensor | None:
        """Labels as the networks take them.

        Args:
            labels: The class of each image, int64, shape (N,), or that of all of them; None where the model is
                unconditional.
            count: N.
            needed: Whether a conditional model must be given them; None: if `networks_know_class`.

        Returns:
            int64, shape (N,), on the model's device; None: there are none.

        Raises:
            UserError: They are none of these, are missing, or the model is unconditional.
        """
        if self.classes is None:
            if labels is not None:
                raise UserError("labels: this model is unconditional; leave them out, or train one with model.labels")
            return None
        if labels is None:
            if self.networks_know_class if needed is None else needed:
                raise UserError(f"labels: this model is conditional; give each image's class, 0 to {self.classes - 1}")
            return None
        given = torch.as_tensor(labels)
        if given.dtype != torch.int64 or given.shape not in ((), (count,)):
            shape = tuple(given.shape)
            raise UserError(f"labels: {given.dtype} of shape {shape}; give an int, or torch.int64 of shape ({count},)")
        if given.numel() and not 0 <= given.min() <= given.max() < self.classes:
            wrong = int(given.min()) if given.min() < 0 else int(given.max())
            raise UserError(f"labels: {wrong}: the classes of this model are 0 to {self.classes - 1}")
        return given.to(next(self.parameters()).device).expand(count)

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        """As `encode`, of labels that are as the networks take them."""
        raise NotImplementedError

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """As `decode`, of labels that are as the networks take them."""
        raise NotImplementedError

    def prior_codes(
        self,
        start: int,
        stop: int,
        seed: int,
        labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:
        """Codes ``start`` to ``stop`` of the endless list that ``seed`` draws from the prior, shape (n, d).

        ``labels`` and ``progress`` as of `codes`.

        Raises:
            UserError: The family has no prior.
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
        self.encoder = Encoder(*shape, outputs=self.code_parameters * config.latent_size, labels=self.classes)
        self.decoder = Decoder(*shape, latent_size=config.latent_size, labels=self.classes)
        initialise(self.encoder, seed, "encoder")
        initialise(self.decoder, seed, "decoder")

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        images: Tensor = self.decoder(codes, labels)
        return images

    def prior_codes(
        self,
        start: int,
        stop: int,
        seed: int,
        labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:
        """As of `Autoencoder`."""
        codes = torch.empty(max(0, stop - start), self.config.latent_size)
        for row, index in enumerate(range(start, stop)):
            codes[row] = draw_normal((self.config.latent_size,), seed, "codes", index)
        return codes.to(next(self.parameters()))


def cycle_labels(start: int, stop: int, classes: int) -> Tensor:
    """The class i % ``classes`` of each place i from ``start`` to ``stop``, int64, shape (n,)."""
    return torch.arange(start, max(start, stop)) % classes


def repeat_labels(labels: Tensor | None, kinds: int) -> Tensor | None:
    """The labels (N,) of as many images of each of some kinds, shape (kinds N,); None where there are none."""
    return None if labels is None else labels.repeat(kinds)
