"""Images that a model draws from its prior, or from a density that is fitted to its codes."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vaegan.progress import ProgressCallback, ignore_progress

from .density import Density

if TYPE_CHECKING:
    from .autoencoder import Autoencoder, Labels


class Sampler:
    """The endless list of images that a model draws for a seed; image i is the same however many are drawn.

    Args:
        model: Generator of the images.
        seed: Root of the codes.
        density: Density fitted to the codes of the training images, in place of the prior; None: the prior.
    """

    def __init__(self, model: "Autoencoder", seed: int = 0, density: Density | None = None) -> None:
        self.model = model
        self.seed = seed
        self.density = density

    @property
    def source(self) -> str | None:
        """The density, or else the prior, in words; None: the family has no prior, so that nothing can be drawn."""
        if self.density is not None:
            return str(self.density)
        return self.model.prior_name if self.model.has_prior else None

    def draw(
        self, start: int, stop: int, labels: "Labels" = None, progress: ProgressCallback = ignore_progress
    ) -> Tensor:
        """Draw the images ``start`` to ``stop`` of the list, shape (n, C, S, S) in [-1, 1].

        Args:
            start: Index of the first image.
            stop: Index after the last image.
            labels: Class of each image, int64, shape (n,), or that of all of them; None: image i of a conditional model
                is of class i modulo `Autoencoder.classes`.
            progress: Called with (steps done, steps in all) where codes are drawn in several steps.

        Raises:
            UserError: The family has no prior and no density is given, or the labels are not those of the model.
        """
        if labels is None and self.model.classes is not None:
            labels = cycle_labels(start, stop, self.model.classes)
        labels = self.model.check_labels(labels, max(0, stop - start))
        return self.model.decode(self.draw_codes(start, stop, labels, progress), labels)

    def draw_codes(
        self, start: int, stop: int, labels: Tensor | None = None, progress: ProgressCallback = ignore_progress
    ) -> Tensor:
        """Draw the codes of the images ``start`` to ``stop``, shape (n, d), of the model's device and dtype.

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
    """Return the class i modulo ``classes`` of each index i from ``start`` to ``stop``, int64, shape (n,)."""
    return torch.arange(start, max(start, stop)) % classes
