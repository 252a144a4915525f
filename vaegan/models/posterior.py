"""The posterior over the codes of images that an encoder returns."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaegan.losses.elbo import kl_standard_normal

from .inputs import get_noise


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

    def kl(self) -> Tensor:
        """Compute KL(q(z | x) || N(0, I)) of each image in nats, shape (N,); a deterministic code's is inf."""
        return kl_standard_normal(self.mean, self.log_variance).sum(1)

    def sample(self, noise: Tensor | None = None) -> Tensor:
        """Return mean + sqrt(variance) noise, shape (N, d) (reparameterisation, Kingma & Welling 2014, section 2.4).

        Args:
            noise: Standard normal, shape (N, d); None: fresh noise of torch's global generator.

        Raises:
            UserError: `noise` has another shape.
        """
        return self.mean + (0.5 * self.log_variance).exp() * get_noise("noise", noise, self.mean)


def split_parameters(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Split an encoder's output (N, 2 C', ...) into means and log-variances clamped to [-30, 20], (N, C', ...) each."""
    mean, log_variance = parameters.chunk(2, dim=1)
    return mean, log_variance.clamp(-30, 20)


def make_deterministic(codes: Tensor) -> Posterior:
    """Return the posterior with mean ``codes``, shape (N, d), and variance 0."""
    return Posterior(codes, torch.full_like(codes, -torch.inf))
