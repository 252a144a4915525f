"""The posterior over the codes of images that an encoder returns."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Posterior:
    """q(z | x), a diagonal Gaussian for each of N images; a deterministic code has variance 0."""

    mean: Tensor
    """Means, shape (N, d)."""
    log_variance: Tensor
    """Natural logarithms of the variances, shape (N, d); -inf for a deterministic code."""

    @property
    def variance(self) -> Tensor:
        """Variances, shape (N, d)."""
        return self.log_variance.exp()

    def sample(self, noise: Tensor) -> Tensor:
        """Return mean + sqrt(variance) noise, shape (N, d) (reparameterisation, Kingma & Welling 2014, section 2.4).

        Args:
            noise: Standard normal, shape (N, d).
        """
        return self.mean + (0.5 * self.log_variance).exp() * noise


def make_deterministic(codes: Tensor) -> Posterior:
    """Return the posterior with mean ``codes``, shape (N, d), and variance 0."""
    return Posterior(codes, torch.full_like(codes, -torch.inf))
