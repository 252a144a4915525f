"""The Fréchet distance of two sets of features, as if each were Gaussian (Heusel et al. 2017, eq. 6).

Notation: N features of d numbers with mean m and covariance C = F F', where F is any factor of C.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .metric import Sums


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a set of features."""

    mean: Tensor
    """m, float64, shape (d,)."""
    factor: Tensor
    """F, float64, shape (d, rank)."""

    @property
    def trace(self) -> float:
        """Trace of the covariance, the sum of the d variances."""
        return self.factor.square().sum().item()


MOMENTS = ("count", "total", "products")
"""Names of the sums that `compute_moments` returns."""


def compute_moments(features: Tensor) -> Sums:
    """Return N, the sum and the sum of outer products of features (N, d) of any float type, in float64."""
    features = features.double()
    count = torch.tensor(float(len(features)), dtype=torch.float64)
    return {"count": count, "total": features.sum(0), "products": features.mT @ features}


def fit_gaussian(sums: Sums) -> Gaussian:
    """Fit mean and unbiased covariance to features by the totals of their `compute_moments`.

    The covariance of a single feature is 0.
    """
    return factor_covariance(*compute_mean_and_covariance(sums))


def compute_mean_and_covariance(sums: Sums) -> tuple[Tensor, Tensor]:
    """Return mean (d,) and unbiased covariance (d, d), float64, of features by the totals of `compute_moments`."""
    count = int(sums["count"])
    mean = sums["total"] / count
    covariance = (sums["products"] - count * torch.outer(mean, mean)) / max(1, count - 1)
    return mean, (covariance + covariance.mT) / 2


def factor_covariance(mean: Tensor, covariance: Tensor) -> Gaussian:
    """Return the Gaussian of a mean (d,) and a covariance (d, d), float64 and symmetric.

    If the covariance has full rank, its factor is Cholesky's. If it has not, since there are no more than d features or
    some are always 0, its factor is made of the eigenvectors whose eigenvalues exceed the rounding error of float64
    sums.
    """
    error = len(mean) * torch.finfo(torch.float64).eps * (covariance.diagonal() + mean.square()).max()
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if failed.item() or factor.diagonal().square().min() <= error:
        values, vectors = torch.linalg.eigh(covariance)
        significant = values > error
        factor = vectors[:, significant] * values[significant].sqrt()
    return Gaussian(mean, factor)


def frechet(one: Gaussian, other: Gaussian) -> float:
    """Compute |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), at least 0, in squared units of the features.

    (C1 C2)^(1/2) has the trace of (F1' C2 F1)^(1/2), which is the nuclear norm of F1' F2, so that no root of a matrix
    is needed. Where both covariances have full rank the roots of the eigenvalues are as precise and three times as
    fast; where eigenvalues are 0 only the singular values are precise.
    """
    cross_trace = 0.0
    if one.trace and other.trace:
        cross = one.factor.mT @ other.factor
        full = one.factor.shape == other.factor.shape == (len(one.mean),) * 2
        roots = torch.linalg.eigvalsh(cross @ cross.mT).clamp(min=0).sqrt() if full else torch.linalg.svdvals(cross)
        cross_trace = roots.sum().item()
    distance = (one.mean - other.mean).square().sum().item() + one.trace + other.trace - 2 * cross_trace
    return max(distance, 0.0)
