"""Quality of a score that tells anomalous from normal images: the areas under its ROC and precision-recall curves."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.randomness import make_generator

RESAMPLES, RESAMPLES_AT_A_TIME = 1000, 50
"""Bootstrap resamples of the images, and those that are held in memory at once."""
CONFIDENCE = 0.95
"""Probability that an interval contains the true value."""


class Area(NamedTuple):
    """An area under a curve, in [0, 1], with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class Detection(NamedTuple):
    """Areas under the curves of a score that tells anomalous from normal images."""

    roc: Area
    """Area under the ROC curve: the probability that an anomalous image has the larger score; 0.5 by chance."""
    pr: Area
    """Average precision, the area under the precision-recall curve; by chance the fraction of anomalous images."""


def measure_detection(scores: Tensor, anomalous: Tensor) -> Detection:
    """Measure how well scores detect anomalous images, with percentile intervals of the bootstrap.

    Normal and anomalous images are resampled apart, so that their numbers, which the average precision depends on,
    stay the same.

    Args:
        scores: The larger, the more anomalous, finite, shape (N,).
        anomalous: True for anomalous images, bool, shape (N,).

    Raises:
        UserError: All images are normal, or all are anomalous.
    """
    kinds = [(anomalous == kind).nonzero().flatten() for kind in (False, True)]
    if not all(len(kind) for kind in kinds):
        problem = "anomalous" if len(kinds[1]) else "normal"
        raise UserError(f"all images are {problem}; ROC-AUC and PR-AUC need both kinds")
    generator = make_generator(0, "bootstrap", "detection")
    values = compute_areas(scores, anomalous, torch.ones(1, len(scores)))
    parts = []
    for _ in range(RESAMPLES // RESAMPLES_AT_A_TIME):
        weights = torch.zeros(RESAMPLES_AT_A_TIME, len(scores), dtype=torch.float64)
        for kind in kinds:
            chosen = kind[torch.randint(len(kind), (RESAMPLES_AT_A_TIME, len(kind)), generator=generator)]
            weights.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=torch.float64))
        parts.append(compute_areas(scores, anomalous, weights))
    ends = torch.tensor([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], dtype=torch.float64)
    intervals = torch.cat(parts, 1).quantile(ends, dim=1).T
    roc, pr = (Area(*row) for row in torch.cat([values, intervals], 1).tolist())
    return Detection(roc, pr)


def compute_areas(scores: Tensor, anomalous: Tensor, weights: Tensor) -> Tensor:
    """Compute the areas under the ROC curve and the average precisions of R weightings of the images, float64, (2, R).

    They are scikit-learn's `roc_auc_score` and `average_precision_score`, for all weightings at once. Of images in
    order of falling scores, with equal scores in one group, tp and fp are the weights of the anomalous and of the
    normal ones up to a group: the ROC's area is the mean over normal images of tp, those of the same group counted by
    half, and the average precision the mean over anomalous images of tp / (tp + fp).

    Args:
        scores: Shape (N,).
        anomalous: Bool, shape (N,).
        weights: At least 0, shape (R, N); both kinds of images have some.
    """
    levels, groups = (-scores.double()).unique(return_inverse=True)
    normals, positives = (
        torch.zeros(len(weights), len(levels), dtype=torch.float64).index_add_(1, groups, weights.double() * kind)
        for kind in (~anomalous, anomalous)
    )
    tp, fp = positives.cumsum(1), normals.cumsum(1)
    counts = [each.sum(1) for each in (normals, positives)]
    roc = (normals * (tp - positives / 2)).sum(1) / (counts[0] * counts[1])
    precision = tp / (tp + fp).clamp_min(torch.finfo(torch.float64).tiny)
    return torch.stack([roc, (positives * precision).sum(1) / counts[1]])


def compute_auc_components(normal: Tensor, anomalous: Tensor) -> Tensor:
    """Compute for each of N pairs of images what it adds to the area under the ROC curve, float64, shape (N,).

    With the area A = P(anomalous score > normal score), ties counted by half, pair i has
    P(anomalous_i > normal) + P(anomalous > normal_i) - A. Their mean is A, and the variance of that mean the one of
    DeLong et al. 1988 (eq. 4), with the covariance of the two images of a pair.

    Args:
        normal: Score of the normal image of each pair, shape (N,).
        anomalous: Score of the anomalous image of each pair, shape (N,).
    """
    of_anomalous = _rank(normal, anomalous)
    of_normal = compute_fraction_above(anomalous, normal)
    return of_anomalous + of_normal - of_anomalous.mean()


def compute_fraction_above(scores: Tensor, values: Tensor) -> Tensor:
    """Compute the fraction of scores above each value, those that are equal counted by half, float64, shape (M,).

    Args:
        scores: Shape (N,).
        values: Shape (M,).
    """
    return 1 - _rank(scores, values)


def _rank(scores: Tensor, values: Tensor) -> Tensor:
    """Return the fraction of scores below each value, those that are equal counted by half, float64."""
    ordered, values = scores.double().sort().values, values.double().contiguous()
    below = torch.searchsorted(ordered, values)
    until = torch.searchsorted(ordered, values, right=True)
    return (below + until).double() / (2 * max(1, len(scores)))
