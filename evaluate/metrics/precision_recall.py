"""Precision, recall, density and coverage: the overlap of two sets of features.

Notation: the ball of a feature reaches to its k-th nearest neighbour in its own set.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaegan.distributed import all_reduce

from .dealt_rows import DealtRows

PRECISION_NEIGHBOUR = 3
"""k of precision and recall (Kynkäänniemi et al. 2019, section 3)."""
DENSITY_NEIGHBOUR = 5
"""k of density and coverage (Naeem et al. 2020, section 3.3)."""


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


def compute_prdc(real: DealtRows, other: DealtRows) -> PRDC:
    """Compute the precision, recall, density and coverage of a set of features with respect to the real ones.

    All processes call this together. Each compares its blocks of real features with one block of the others at a time,
    and all get the same values, whatever their number.

    Args:
        real: Real features, shape (N, d), N > `DENSITY_NEIGHBOUR`.
        other: Features of the other set, shape (M, d), M > `PRECISION_NEIGHBOUR`.
    """
    own = real.deal_blocks()
    precision_radii, density_radii = compute_squared_radii(real, own, (PRECISION_NEIGHBOUR, DENSITY_NEIGHBOUR))
    (other_radii,) = compute_squared_radii(other, other.deal_blocks(), (PRECISION_NEIGHBOUR,))
    device = precision_radii.device
    precise, balls = torch.zeros(len(other), device=device), torch.zeros((), dtype=torch.int64, device=device)
    recalled, covered = (torch.zeros(len(real), dtype=torch.bool, device=device) for _ in range(2))
    for columns, block in other.fetch_blocks():
        for rows, features in own:
            distances = compute_squared_distances(features, block)
            precise[columns] += (distances <= precision_radii[rows, None]).any(0)
            recalled[rows] |= (distances <= other_radii[columns]).any(1)
            inside = distances <= density_radii[rows, None]
            covered[rows] |= inside.any(1)
            balls += inside.sum()
    counts = all_reduce(torch.stack([balls, recalled.sum(), covered.sum()])).tolist()
    return PRDC(
        precision=(all_reduce(precise) > 0).double().mean().item(),
        recall=counts[1] / len(real),
        density=counts[0] / (DENSITY_NEIGHBOUR * len(other)),
        coverage=counts[2] / len(real),
    )


def compute_squared_radii(
    features: DealtRows, own: list[tuple[slice, Tensor]], neighbours: tuple[int, ...]
) -> list[Tensor]:
    """Compute the squared distance of each feature (N, d) from its k-th nearest other one, float64 (N,), for each k.

    Args:
        features: The features.
        own: Those whose distances this process computes, as `DealtRows.deal_blocks` returns them.
        neighbours: Each k.
    """
    count = max(neighbours) + 1  # the first one is the feature itself
    nearest = [rows.new_empty(len(rows), 0, dtype=torch.float64) for _, rows in own]
    for _, block in features.fetch_blocks():
        for number, (_, rows) in enumerate(own):
            candidates = torch.cat([nearest[number], compute_squared_distances(rows, block)], dim=1)
            nearest[number] = candidates.topk(min(count, candidates.shape[1]), largest=False).values
    radii = torch.zeros(len(features), len(neighbours), dtype=torch.float64, device=features.device)
    for number, (places, _) in enumerate(own):
        radii[places] = nearest[number][:, list(neighbours)]
    return list(all_reduce(radii).unbind(1))


def compute_squared_distances(features: Tensor, other: Tensor) -> Tensor:
    """Compute the squared Euclidean distances of features (N, d) from others (M, d), float64 (N, M)."""
    features, other = features.double(), other.double()
    squares = features.square().sum(1)[:, None] + other.square().sum(1)
    return torch.addmm(squares, features, other.mT, alpha=-2).clamp_min_(0)
