"""The Fréchet distance of two sets of features, as if each were Gaussian (Heusel et al. 2017, eq. 6).

Notation: N features of d numbers with mean m and covariance C = F F', where F is any factor of C.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .accumulate import Sums


@dataclass(frozen=True)
class Gaussian:
    """What the distance needs of a set."""

    mean: Tensor
    """float64, shape (d,)."""
    factor: Tensor
    """F, float64, shape (d, rank)."""

    @property
    def trace(self) -> float:
        """That of the covariance, the sum of the d variances."""
        return self.factor.square().sum().item()


MOMENTS = ("count", "total", "products")
"""What `compute_moments` gives."""


def compute_moments(features: Tensor) -> Sums:
    """What `fit_gaussian` needs of features (N, d) of any float type."""
    features = features.double()
    count = torch.tensor(float(len(features)), dtype=torch.float64)
    return {"count": count, "total": features.sum(0), "products": features.mT @ features}


def fit_gaussian(sums: Sums) -> Gaussian:
    """The mean and the unbiased covariance of all features whose `compute_moments` were added; of one alone it is 0.

    Where the covariance has full rank its factor is Cholesky's; where it has not, as of fewer than d features or of
    features that are always 0, it is that of its eigenvectors, without those that only the rounding has made.
    """
    count = int(sums["count"])
    mean = sums["total"] / count
    covariance = (sums["products"] - count * torch.outer(mean, mean)) / max(1, count - 1)
    covariance = (covariance + covariance.mT) / 2
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if count <= len(mean) or failed.item() or factor.diagonal().square().min() <= _rounding(sums, count):
        values, vectors = torch.linalg.eigh(covariance)
        held = values > _rounding(sums, count)
        factor = vectors[:, held] * values[held].sqrt()
    return Gaussian(mean, factor)


def frechet(one: Gaussian, other: Gaussian) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), at least 0, in squared units of the features.

    (C1 C2)^(1/2) has the trace of (F1' C2 F1)^(1/2), which is the nuclear norm of F1' F2, so that no root of a matrix
    is needed. Where both covariances have full rank the roots of the eigenvalues are as precise and three times as
    fast; where eigenvalues are 0 only the singular values are precise.
    """
    shared = 0.0
    if one.trace and other.trace:
        cross = one.factor.mT @ other.factor
        full = one.factor.shape == other.factor.shape == (len(one.mean),) * 2
        roots = torch.linalg.eigvalsh(cross @ cross.mT).clamp(min=0).sqrt() if full else torch.linalg.svdvals(cross)
        shared = roots.sum().item()
    distance = (one.mean - other.mean).square().sum().item() + one.trace + other.trace - 2 * shared
    return max(distance, 0.0)


def _rounding(sums: Sums, count: int) -> float:
    """What float64 sums leave of an eigenvalue of the covariance that is 0."""
    size = len(sums["total"])
    return float(size * torch.finfo(torch.float64).eps * sums["products"].diagonal().max() / max(1, count - 1))
