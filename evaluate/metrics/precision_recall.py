"""Precision, recall, density and coverage: the overlap of two sets of features.

Notation: the ball of a feature reaches to its k-th nearest neighbour in its own set.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

PRECISION_NEIGHBOUR = 3
"""k of precision and recall (Kynkäänniemi et al. 2019, section 3)."""
DENSITY_NEIGHBOUR = 5
"""k of density and coverage (Naeem et al. 2020, section 3.3)."""
MAX_DISTANCES = 2**22
"""Largest number of distances that are held in memory at once."""


@dataclass(frozen=True)
class PRDC:
    """Precision, recall, density and coverage of a set of features."""

    precision: float
    """Fraction of the features that lie in the ball of a real one: these images look real."""
    recall: float
    """Fraction of the real features that lie in the ball of one of the others: these images could be generated."""
    density: float
    """Mean number of real balls that a feature lies in, over k; it may exceed 1 where real features are dense."""
    coverage: float
    """Fraction of the real features with one of the others in their ball."""


def compute_prdc(real: Tensor, other: Tensor) -> PRDC:
    """Compute the precision, recall, density and coverage of a set of features with respect to the real ones.

    Args:
        real: Real features, shape (N, d), N > `DENSITY_NEIGHBOUR`.
        other: Features of the other set, shape (M, d), M > `PRECISION_NEIGHBOUR`.
    """
    precision_radii, density_radii = compute_radii(real, (PRECISION_NEIGHBOUR, DENSITY_NEIGHBOUR))
    (other_radii,) = compute_radii(other, (PRECISION_NEIGHBOUR,))
    is_precise = torch.zeros(len(other), dtype=torch.bool, device=other.device)
    balls, recalled, covered = 0, 0, 0
    for rows in _split_rows(real, other):
        distances = _compute_distances(real[rows], other)
        is_precise |= (distances <= precision_radii[rows, None]).any(0)
        recalled += int((distances <= other_radii).any(1).sum())
        inside = distances <= density_radii[rows, None]
        balls += int(inside.sum())
        covered += int(inside.any(1).sum())
    return PRDC(
        precision=is_precise.double().mean().item(),
        recall=recalled / len(real),
        density=balls / (DENSITY_NEIGHBOUR * len(other)),
        coverage=covered / len(real),
    )


def compute_radii(features: Tensor, neighbours: tuple[int, ...]) -> list[Tensor]:
    """Compute the distance of each feature (N, d) from its k-th nearest other one, float64 (N,), for each k given."""
    count, batches = max(neighbours) + 1, _split_rows(features, features)
    parts = [_compute_distances(features[rows], features).topk(count, largest=False).values for rows in batches]
    nearest = torch.cat(parts)
    return [nearest[:, k] for k in neighbours]  # the first one is the feature itself


def _compute_distances(features: Tensor, other: Tensor) -> Tensor:
    return torch.cdist(features.double(), other.double(), compute_mode="use_mm_for_euclid_dist")


def _split_rows(features: Tensor, other: Tensor) -> list[Tensor]:
    return list(torch.arange(len(features)).split(max(1, MAX_DISTANCES // len(other))))
