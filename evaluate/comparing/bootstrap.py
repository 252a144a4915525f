"""Confidence of a difference: bootstrap intervals over seeds and images, and a correction for many comparisons.

Every seed and every variant is evaluated on the same images: images and seeds are crossed. Images are therefore
resampled once for all seeds (if they were resampled anew for each seed, every further seed would count as further
images). What the seeds then have in common is the images' part of the uncertainty. With few seeds an interval covers
only that part, and a verdict holds for these seeds.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from vaegan.randomness import make_generator

Means = Mapping[str, Tensor]
"""Means over images by name, shape (resamples, k)."""
Statistic = Callable[[Means], Tensor]
"""Function of the means of one seed, which returns a value for each resample, shape (resamples,)."""

MIN_SEEDS = 5
"""Number of seeds from which a verdict is about all seeds; with fewer it is conditional on them."""
CONFIDENCE = 0.95
"""Probability that an interval contains the true value."""
RESAMPLES = 1000
"""Number of bootstrap resamples."""
MAX_WEIGHTS = 2**24
"""Largest number of weights of resampled images that are held in memory at once."""


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval."""

    value: float
    """Mean over the seeds."""
    error: float
    """Standard error of the value."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    p: float
    """Two-sided probability of a value so far from 0 if the true one is 0."""


def estimate(seeds: Sequence[Mapping[str, Tensor]], statistic: Statistic) -> Estimate:
    """Estimate the mean of a statistic over the seeds by the paired bootstrap of images and `estimate_crossed`.

    Args:
        seeds: For each seed the values of single images by name, shape (N, k). Names that are the same up to the first
            ``/`` belong to the same images, which are resampled together.
        statistic: Function of the means of these values.
    """
    means = [{name: rows.double().mean(0)[None] for name, rows in seed.items()} for seed in seeds]
    values = torch.cat([statistic(seed_means) for seed_means in means])
    images = min(len(rows) for rows in seeds[0].values())
    if images < 2:
        return make_estimate_without_interval(values)
    covariance = torch.atleast_2d(torch.cov(torch.cat(list(_resample(seeds, statistic)), dim=1)))
    return estimate_crossed(values, covariance * images / (images - 1), images)


def estimate_from_blocks(values: Sequence[float], seeds: Sequence[Tensor]) -> Estimate:
    """Estimate the mean of a metric of sets over the seeds by its values in disjoint blocks and `estimate_crossed`.

    A metric that is more precise for the whole set than the mean of its blocks, as KID is, gets too wide an interval.

    Args:
        values: Values of the whole sets, one for each seed.
        seeds: Values of the blocks of each seed, shape (blocks,), with the same images in the same blocks.
    """
    wholes, blocks = torch.tensor(values, dtype=torch.float64), torch.stack(list(seeds)).double()
    count = blocks.shape[1]
    if count < 2:
        return make_estimate_without_interval(wholes)
    return estimate_crossed(wholes, torch.atleast_2d(torch.cov(blocks)) / count, count)


def estimate_crossed(values: Tensor, covariance: Tensor, units: int) -> Estimate:
    """Estimate the mean of the values of n seeds, with the 95 % interval value +- t s.

    With few seeds the interval is about them alone: the variance s^2 of their mean is the mean of the covariance C, and
    t is Student's. Otherwise it is about all seeds: s^2 is the sum of the variance of the values over n, which contains
    what images do to single seeds, and of the mean of C off its diagonal, which is what images do to all seeds; t has
    the degrees of freedom of such a sum (Satterthwaite 1946).

    Args:
        values: Values of the seeds, shape (n,).
        covariance: C, covariance of their errors through the choice of images, shape (n, n).
        units: Number of images, or of blocks of them, that C was estimated from.
    """
    count = len(values)
    if count < MIN_SEEDS:
        return _make_estimate(values.mean().item(), covariance.mean().sqrt().item(), stats.t(units - 1))
    of_seeds = (values.var() / count).item()
    of_images = max(0.0, ((covariance.sum() - covariance.trace()) / (count * (count - 1))).item())
    variance = of_seeds + of_images
    parts = of_seeds**2 / (count - 1) + of_images**2 / (units - 1)
    degrees_of_freedom = variance**2 / parts if parts else count - 1
    return _make_estimate(values.mean().item(), math.sqrt(variance), stats.t(degrees_of_freedom))


def make_estimate_without_interval(values: Tensor) -> Estimate:
    """Return the mean of the seeds' values (n,) with an infinite interval, where its error is unknown."""
    return Estimate(values.mean().item(), math.inf, -math.inf, math.inf, 1.0)


def compute_effect_size(differences: Sequence[Tensor]) -> float:
    """Compute Cohen's d of paired images: the mean of their differences over its standard deviation.

    Args:
        differences: Differences of each seed, shape (N,), with the images in the same order; their mean over the seeds
            is taken first.

    Returns:
        The effect size, without unit; 0 where there is no difference at all.
    """
    means = torch.stack(list(differences)).double().mean(0)
    deviation = means.std().item() if len(means) > 1 else 0.0
    return means.mean().item() / deviation if deviation else 0.0


def correct_holm(probabilities: Sequence[float]) -> list[float]:
    """Correct the probabilities of several tests so that their family-wise error rate is that of a single test.

    The smallest is multiplied by the number of tests, the next by one less, and none becomes smaller than one before
    it (Holm 1979).
    """
    order = sorted(range(len(probabilities)), key=probabilities.__getitem__)
    corrected, least = [0.0] * len(probabilities), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * probabilities[index]))
        corrected[index] = least
    return corrected


def _resample(seeds: Sequence[Mapping[str, Tensor]], statistic: Statistic) -> Iterator[Tensor]:
    """Yield the statistic of each seed in parts of the resamples, shape (seeds, resamples of the part)."""
    counts = {name.partition("/")[0]: len(rows) for name, rows in seeds[0].items()}
    size = max(1, MAX_WEIGHTS // max(counts.values()))
    for start in range(0, RESAMPLES, size):
        part = min(size, RESAMPLES - start)
        weights = {kind: _draw_weights(part, count, f"images {kind}", start) for kind, count in counts.items()}
        means = [
            {name: weights[name.partition("/")[0]] @ rows.double() for name, rows in seed.items()} for seed in seeds
        ]
        yield torch.stack([statistic(seed_means) for seed_means in means])


def _draw_weights(resamples: int, count: int, *purpose: str | int) -> Tensor:
    """Return the fraction of ``count`` draws that each of ``count`` images has: float64, shape (resamples, count)."""
    indices = torch.randint(count, (resamples, count), generator=make_generator(0, "bootstrap", *purpose))
    fractions = torch.full(indices.shape, 1 / count, dtype=torch.float64)
    return torch.zeros_like(fractions).scatter_add_(1, indices, fractions)


def _make_estimate(value: float, error: float, distribution: "stats.rv_frozen") -> Estimate:
    margin = error * float(distribution.ppf((1 + CONFIDENCE) / 2))
    p = 2 * float(distribution.sf(abs(value) / error)) if error else float(value == 0)
    return Estimate(value, error, value - margin, value + margin, p)
