"""The prior p(z) of a model's codes as a distribution: its log-probability and its draws."""

import math
from typing import Protocol

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.models import Autoencoder, Flow
from vaegan.models.density import Density
from vaegan.models.gaussian import GaussianAutoencoder
from vaegan.randomness import draw_normal

from .encoding import check_continuous_codes


class CodePrior(Protocol):
    """A distribution over codes, of shape (N, d)."""

    def compute_log_probability(self, codes: Tensor) -> Tensor:
        """Compute log p(z) of codes in nats, of their dtype and device, differentiable: (N, d) => (N,)."""

    def draw_codes(self, start: int, stop: int, seed: int) -> Tensor:
        """Draw the codes of indices ``start`` to ``stop - 1``, shape (n, d), a function of the seed and each index."""


class StandardNormal:
    """N(0, I) over codes of ``size`` dimensions."""

    def __init__(self, size: int) -> None:
        self.size = size

    def compute_log_probability(self, codes: Tensor) -> Tensor:
        """Compute log N(z; 0, I) of codes in nats: (N, d) => (N,)."""
        return -0.5 * (codes.square() + math.log(2 * math.pi)).sum(1)

    def draw_codes(self, start: int, stop: int, seed: int) -> Tensor:
        """Draw the codes of indices ``start`` to ``stop - 1``, shape (n, d), as `Autoencoder.sample` does."""
        rows = [draw_normal((self.size,), seed, "codes", index) for index in range(start, stop)]
        return torch.stack(rows) if rows else torch.empty(0, self.size)


def get_code_prior(model: Autoencoder, density: Density | None = None) -> CodePrior:
    """Return the prior of a model's codes, or the density that was fitted to them.

    Args:
        model: The model.
        density: Density fitted to the codes of its training images, in the place of the prior; None: the prior.

    Raises:
        UserError: Its codes are entries of a codebook, or its family has no prior and no density is given.
    """
    check_continuous_codes(model)
    if density is not None:
        return density
    if isinstance(model, Flow):
        raise UserError("a flow has no density of codes that could be searched; use the run of its autoencoder")
    if not isinstance(model, GaussianAutoencoder):
        raise UserError("this family has no prior of its codes; give a density of them, as --density gaussian")
    return StandardNormal(model.code_size)
