"""Statistics of each dimension of a code: its divergence, its activity, its aggregate posterior beside the prior."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.losses.elbo import kl_standard_normal
from vaegan.models import Posterior

MIN_ACTIVE_VARIANCE = 0.01
"""Variance of the posterior mean over images above which a dimension is active (Burda et al. 2016, section 5.2)."""
MIN_RELATIVE_VARIANCE = 1e-6
"""Variance of a deterministic code, relative to its largest one, above which a dimension is active."""
PRIOR_RANGE = 8.0
"""Absolute value beyond which N(0, 1) has no mass to speak of (1e-15)."""
DISTANCE_STEPS = 801
"""Values of z at which distribution functions are compared."""

CDF_IMAGES = 8192
"""Images whose distribution functions are in memory at a time."""


@dataclass(frozen=True)
class CodeStatistics:
    """Statistics of the d dimensions of a code over N images; those beside a prior are None if there is none."""

    kl: Tensor | None
    """Mean over the images of KL(q(z_j | x) || N(0, 1)) in nats, shape (d,)."""
    mean_variance: Tensor
    """Variance over the images of the posterior mean, Var_x(E[z_j | x]), shape (d,)."""
    active: Tensor
    """True where the posterior mean varies over the images, bool, shape (d,)."""
    mean: Tensor
    """Mean of the aggregate posterior, q(z_j) = mean over x of q(z_j | x), shape (d,)."""
    variance: Tensor
    """Variance of the aggregate posterior, shape (d,)."""
    gaussian_kl: Tensor | None
    """KL in nats of the Gaussian with the aggregate posterior's mean and variance from N(0, 1), shape (d,)."""
    wasserstein: Tensor | None
    """Wasserstein-1 distance of the aggregate posterior from N(0, 1), in units of z, shape (d,)."""

    @property
    def information(self) -> Tensor:
        """The divergence in nats, or else the variance of the code, by which dimensions are ordered, shape (d,)."""
        return self.mean_variance if self.kl is None else self.kl

    @property
    def order(self) -> Tensor:
        """The active dimensions, that which carries most first, int64, shape (a,)."""
        order = self.information.argsort(descending=True, stable=True)
        return order[self.active[order]]


def compute_code_statistics(posterior: Posterior) -> CodeStatistics:
    """Compute the statistics of each dimension of a code from the posteriors of images.

    Mean and variance of the aggregate posterior are exact for its mixture of N Gaussians, by the law of total variance.
    A deterministic code, of variance 0, is compared with no prior.

    Args:
        posterior: q(z | x) of N >= 2 images, shape (N, d).

    Raises:
        UserError: There are fewer than two images.
    """
    means, log_variances = posterior.mean.double().flatten(1), posterior.log_variance.double().flatten(1)
    if len(means) < 2:
        raise UserError(f"{len(means)} images: a variance over images needs two")
    mean, mean_variance = means.mean(0), means.var(0)
    variance = log_variances.exp().mean(0) + means.var(0, correction=0)
    if log_variances.isneginf().all():
        active = mean_variance > MIN_RELATIVE_VARIANCE * mean_variance.max()
        return CodeStatistics(None, mean_variance, active, mean, variance, None, None)
    return CodeStatistics(
        kl=kl_standard_normal(means, log_variances).mean(0),
        mean_variance=mean_variance,
        active=mean_variance > MIN_ACTIVE_VARIANCE,
        mean=mean,
        variance=variance,
        gaussian_kl=kl_standard_normal(mean, variance.log()),
        wasserstein=_compute_wasserstein(means, log_variances),
    )


def compute_aggregate_cdf(means: Tensor, log_variances: Tensor, values: Tensor) -> Tensor:
    """Compute the distribution function of the aggregate posterior of one dimension, the mean of N Gaussians.

    Args:
        means: Posterior means of the images, shape (N,).
        log_variances: Natural logarithms of their variances, shape (N,).
        values: Values of z, shape (G,).

    Returns:
        Probabilities that z is at most each value, shape (G,).
    """
    deviations = (0.5 * log_variances).exp().clamp_min(torch.finfo(means.dtype).tiny)
    total = torch.zeros_like(values)
    for mean, deviation in zip(means.split(CDF_IMAGES), deviations.split(CDF_IMAGES), strict=True):
        total += torch.special.ndtr((values[:, None] - mean) / deviation).sum(1)
    return total / len(means)


def _compute_wasserstein(means: Tensor, log_variances: Tensor) -> Tensor:
    """Return the integral of |F_q(z) - F_prior(z)| over z of each dimension, by the trapezoidal rule, shape (d,)."""
    distances = means.new_empty(means.shape[1])
    for index, (mean, log_variance) in enumerate(zip(means.T, log_variances.T, strict=True)):
        reach = PRIOR_RANGE * (0.5 * log_variance).exp()
        low, high = (mean - reach).min().clamp_max(-PRIOR_RANGE), (mean + reach).max().clamp_min(PRIOR_RANGE)
        values = torch.linspace(low.item(), high.item(), DISTANCE_STEPS, dtype=means.dtype, device=means.device)
        gap = compute_aggregate_cdf(mean, log_variance, values) - torch.special.ndtr(values)
        distances[index] = torch.trapezoid(gap.abs(), values)
    return distances
