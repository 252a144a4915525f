"""How much of one set of features lies where the other one is: precision, recall, density and coverage.

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
"""Distances that are held at once."""


@dataclass(frozen=True)
class Overlap:
    """Shares of two sets; what is called real is where the other one should be."""

    precision: float
    """Of the others, those that lie in a real ball: they look real."""
    recall: float
    """Of the real ones, those that lie in one of the others' balls: they could be made."""
    density: float
    """Real balls that one of the others lies in, over k: as precision, but it may pass 1 where real ones crowd."""
    coverage: float
    """Of the real ones, those with one of the others in their ball."""


def compute_overlap(real: Tensor, other: Tensor) -> Overlap:
    """Compare two sets of features.

    Args:
        real: Shape (N, d), N > `DENSITY_NEIGHBOUR`.
        other: Shape (M, d), M > `PRECISION_NEIGHBOUR`.
    """
    reach = compute_radii(real, (PRECISION_NEIGHBOUR, DENSITY_NEIGHBOUR))
    (reach_of_others,) = compute_radii(other, (PRECISION_NEIGHBOUR,))
    precise = torch.zeros(len(other), dtype=torch.bool, device=other.device)
    balls, recalled, covered = 0, 0, 0
    for places in _parts(real, other):
        distances = _distances(real[places], other)
        precise |= (distances <= reach[0][places, None]).any(0)
        recalled += int((distances <= reach_of_others).any(1).sum())
        inside = distances <= reach[1][places, None]
        balls += int(inside.sum())
        covered += int(inside.any(1).sum())
    return Overlap(
        precision=precise.double().mean().item(),
        recall=recalled / len(real),
        density=balls / (DENSITY_NEIGHBOUR * len(other)),
        coverage=covered / len(real),
    )


def compute_radii(features: Tensor, neighbours: tuple[int, ...]) -> list[Tensor]:
    """Distance of each feature (N, d) from its k-th nearest other one, float64 (N,), for each k of ``neighbours``."""
    nearest = torch.cat(
        [
            _distances(features[places], features).topk(max(neighbours) + 1, largest=False).values
            for places in _parts(features, features)
        ]
    )
    return [nearest[:, k] for k in neighbours]  # the first one is the feature itself


def _distances(one: Tensor, other: Tensor) -> Tensor:
    return torch.cdist(one.double(), other.double(), compute_mode="use_mm_for_euclid_dist")


def _parts(one: Tensor, other: Tensor) -> list[Tensor]:
    return list(torch.arange(len(one)).split(max(1, MAX_DISTANCES // len(other))))
