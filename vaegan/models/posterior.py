"""What an encoder knows of an image's code."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Posterior:
    """q(z | x), a diagonal Gaussian for each image; a deterministic code has variance 0."""

    mean: Tensor
    """Shape (N, d)."""
    log_variance: Tensor
    """Natural logarithm, shape (N, d); -inf for a deterministic code."""

    @property
    def variance(self) -> Tensor:
        """Shape (N, d)."""
        return self.log_variance.exp()

    def sample(self, noise: Tensor) -> Tensor:
        """mean + sqrt(variance) noise (Kingma & Welling 2014, section 2.4), for standard normal noise (N, d)."""
        return self.mean + (0.5 * self.log_variance).exp() * noise


def make_deterministic(codes: Tensor) -> Posterior:
    """The posterior of an encoder without uncertainty, codes of shape (N, d)."""
    return Posterior(codes, torch.full_like(codes, -torch.inf))
