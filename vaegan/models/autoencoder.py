"""The base of every family that encodes and decodes images, with one small Python API, and its sampler."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from vaegan.config.architectures import AutoencoderConfig
from vaegan.errors import UserError
from vaegan.progress import ProgressCallback, ignore_progress

from .density import Density
from .inputs import Labels, check_labels, check_tensor
from .model import Model
from .posterior import Posterior


class Autoencoder(Model):
    """Base of a model with an encoder, a decoder and, if the family has one, a prior of the codes.

    Images are tensors (N, C, S, S) in [-1, 1], of the model's dtype and device, with (C, S, S) the `image_shape`; uint8
    pixels, 0 to 255, are converted:

        model = vaegan.load("runs/a")
        images = model.sample(16)
        model(images).reconstruction  # of a sample of each image's posterior
        model.reconstruct(images)  # of the posterior's mean
        model.decode(model.encode(images).mean)  # the same
        model.encode(images).kl()  # nats of each image
    """

    config: AutoencoderConfig
    config_class = AutoencoderConfig
    code_shape: tuple[int, ...]
    """Shape of an image's code: (d,) of one vector, (C', h, w) or (h, w) of a grid, which is flat in (N, d)."""
    grid_names: ClassVar[tuple[str, ...]] = ("reconstruction", "sample")
    has_prior: bool = True
    """True if the family can be sampled without a density that is fitted to its codes."""
    prior_name: ClassVar[str] = "N(0, I)"
    """Name of the prior, if the family has one."""
    no_prior_message: ClassVar[str]
    """Message of the error that sampling from the prior raises, if the family has none."""
    networks_take_labels: bool = True
    """True if encoder and decoder of a conditional model take the class, False if its prior alone does."""

    @property
    def code_size(self) -> int:
        """Number d of values of an image's code."""
        return math.prod(self.code_shape)

    def encode(self, images: Tensor, labels: Labels = None) -> Posterior:
        """Return the posterior over the codes of images, of shape (N, d).

        Args:
            images: Shape (N, C, S, S) in [-1, 1], or uint8 pixels.
            labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.

        Raises:
            UserError: `images` are of another shape, dtype or device than the model takes; or `labels` are of another
                type or shape, name no class of the model, are missing, or are given to an unconditional model.
        """
        images = self.prepare_images(images)
        return self._encode(images, self.check_labels(labels, len(images)))

    def decode(self, codes: Tensor, labels: Labels = None) -> Tensor:
        """Decode codes to images, shape (N, C, S, S) in [-1, 1].

        Args:
            codes: Shape (N, d).
            labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.

        Raises:
            UserError: `codes` are of another shape, dtype or device than the model takes; or `labels` are of another
                type or shape, name no class of the model, are missing, or are given to an unconditional model.
        """
        check_tensor("codes", codes, (self.code_size,), next(self.parameters()))
        return self._decode(codes, self.check_labels(labels, len(codes)))

    def reconstruct(self, images: Tensor, labels: Labels = None) -> Tensor:
        """Decode the posterior means of images, shape (N, C, S, S) in [-1, 1].

        Args:
            images: Shape (N, C, S, S) in [-1, 1], or uint8 pixels.
            labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.

        Raises:
            UserError: `images` are of another shape, dtype or device than the model takes; or `labels` are of another
                type or shape, name no class of the model, are missing, or are given to an unconditional model.
        """
        return self.decode(self.encode(images, labels).mean, labels)

    def sample(self, count: int, seed: int = 0, density: Density | None = None, labels: Labels = None) -> Tensor:
        """Draw images from the prior, or from a density that is fitted to the codes of the training images.

        Args:
            count: Number of images, N.
            seed: Root of the codes; image i is the same whatever the count.
            density: Density that `vaegan.density_fitting.fit_density_to_images` has fitted; None: the prior.
            labels: Class of each image, int64, shape (N,), or that of all of them; None: image i of a conditional model
                is of class i modulo `classes`.

        Returns:
            Images, shape (N, C, S, S) in [-1, 1].

        Raises:
            UserError: The family has no prior and no density is given, or the labels are not those of the model.
        """
        return Sampler(self, seed, density).draw(0, count, labels)

    def check_forward_labels(self, labels: Labels, count: int) -> Tensor | None:
        """Check the labels of a forward and return them as the networks take them.

        Labels are ignored by an unconditional model. The values of labels on an accelerator are not read, since a
        training step must not wait for it; nor are they in a compiled network, which they cannot branch in.

        Args:
            labels: Class of each image, int64, shape (N,), or one class of all.
            count: Number N of images.

        Returns:
            Class of each image, int64, shape (N,), on the model's device; None: the model is unconditional.

        Raises:
            UserError: `labels` are of another type or shape, name no class of the model, or are missing.
        """
        if self.classes is None:
            return None
        if isinstance(labels, Tensor) and (labels.device.type != "cpu" or torch.compiler.is_compiling()):
            return labels
        return self.check_labels(labels, count, needed=True)

    def check_labels(self, labels: Labels, count: int, needed: bool | None = None) -> Tensor | None:
        """Check labels and return them as the networks take them.

        Args:
            labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.
            count: Number N of images.
            needed: True if a conditional model must be given labels; None: if `networks_take_labels`.

        Returns:
            Class of each image, int64, shape (N,), on the model's device; None: `labels` is None.

        Raises:
            UserError: `labels` is of another type or shape, names no class of the model, is needed and missing, or is
                given to an unconditional model.
        """
        tensor = check_labels(labels, count, self.classes, self.networks_take_labels if needed is None else needed)
        return None if tensor is None else tensor.to(next(self.parameters()).device)

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        """Return the posterior over the codes of images, with labels that `check_labels` has returned."""
        raise NotImplementedError

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """Decode codes to images, with labels that `check_labels` has returned."""
        raise NotImplementedError

    def describe_weak_prior(self) -> str:
        """Return why samples from the prior may be no images, in a line; empty: nothing is known against them."""
        return ""

    def draw_prior_codes(
        self, start: int, stop: int, seed: int, labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:  # fmt: skip
        """Draw the codes of indices ``start`` to ``stop - 1`` from the prior, shape (n, d).

        Args:
            start: Index of the first code.
            stop: Index after the last code.
            seed: Root of the codes; code i depends only on the seed, i and its class.
            labels: Class of each code, int64, shape (n,), for a prior that is conditional on it.
            progress: Called with (steps done, steps in all) where codes are drawn in several steps.

        Raises:
            UserError: The family has no prior.
        """
        raise UserError(self.no_prior_message)


class Sampler:
    """Images of a model by index: image i depends only on the seed, i and its class, however many are drawn.

    Args:
        model: Model that decodes them.
        seed: Root of the codes.
        density: Density fitted to the codes of the training images, in place of the prior; None: the prior.
    """

    def __init__(self, model: Autoencoder, seed: int = 0, density: Density | None = None) -> None:
        self.model = model
        self.seed = seed
        self.density = density

    @property
    def source(self) -> str | None:
        """The density, or else the prior, in words; None: the family has no prior, so that nothing can be drawn."""
        if self.density is not None:
            return str(self.density)
        return self.model.prior_name if self.model.has_prior else None

    @torch.no_grad()
    def draw(
        self, start: int, stop: int, labels: Labels = None, progress: ProgressCallback = ignore_progress
    ) -> Tensor:
        """Draw the images of indices ``start`` to ``stop - 1``, shape (n, C, S, S) in [-1, 1].

        Args:
            start: Index of the first image.
            stop: Index after the last image.
            labels: Class of each image, int64, shape (n,), or that of all of them; None: image i of a conditional model
                is of class i modulo `Autoencoder.classes`.
            progress: Called with (steps done, steps in all) where codes are drawn in several steps.

        Raises:
            UserError: The family has no prior and no density is given, or the labels are not those of the model.
        """
        labels = self.get_labels(start, stop, labels)
        return self.model.decode(self.draw_codes(start, stop, labels, progress), labels)

    def get_labels(self, start: int, stop: int, labels: Labels = None) -> Tensor | None:
        """Return the classes of the images ``start`` to ``stop - 1`` as the model takes them, checked.

        Args:
            start: Index of the first image.
            stop: Index after the last image.
            labels: Class of each image, int64, shape (n,), or that of all of them; None: image i of a conditional model
                is of class i modulo `Autoencoder.classes`.

        Returns:
            Class of each image, int64, shape (n,), on the model's device; None: the model is unconditional.

        Raises:
            UserError: The labels are not those of the model.
        """
        if labels is None and self.model.classes is not None:
            labels = cycle_labels(start, stop, self.model.classes)
        return self.model.check_labels(labels, max(0, stop - start))

    def draw_codes(
        self, start: int, stop: int, labels: Tensor | None = None, progress: ProgressCallback = ignore_progress
    ) -> Tensor:
        """Draw the codes of the images ``start`` to ``stop - 1``, shape (n, d), of the model's device and dtype.

        Args:
            start: Index of the first code.
            stop: Index after the last code.
            labels: Class of each code, int64, shape (n,), for a prior that is conditional on it.
            progress: Called with (steps done, steps in all) where codes are drawn in several steps.

        Raises:
            UserError: The family has no prior and no density is given.
        """
        if self.density is None:
            return self.model.draw_prior_codes(start, stop, self.seed, labels, progress)
        return self.density.draw_codes(start, stop, self.seed).to(next(self.model.parameters()))


def cycle_labels(start: int, stop: int, classes: int) -> Tensor:
    """Return the class i modulo ``classes`` of each index i from ``start`` to ``stop - 1``, int64, shape (n,)."""
    return torch.arange(start, max(start, stop)) % classes


def repeat_labels(labels: Tensor | None, times: int) -> Tensor | None:
    """Repeat the labels (N,) of images for ``times`` batches of them, shape (times N,); None stays None."""
    return None if labels is None else labels.repeat(times)
