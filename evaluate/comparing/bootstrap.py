"""How sure a difference is: bootstrap intervals over seeds and images, and a correction for many comparisons.

The same images are judged for every seed and every variant: images and seeds are crossed. Images are therefore drawn
once for all of them (drawn anew for each seed, they would seem as many times more as there are seeds), and what the
seeds then have in common is the images' share of the uncertainty. With few seeds that is all, and what is found holds
for these seeds.
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
"""What is asked of the means of one seed, shape (resamples,)."""

MIN_SEEDS = 5
"""Seeds from which others may be spoken of; a verdict about fewer is conditional on them."""
CONFIDENCE = 0.95
RESAMPLES = 1000
MAX_WEIGHTS = 2**24
"""Weights of images that are held at once."""


@dataclass(frozen=True)
class Estimate:
    """A number and how sure it is."""

    value: float
    """Mean over the seeds."""
    error: float
    """Its standard error."""
    low: float
    """End of the 95 % interval."""
    high: float
    """The other end."""
    p: float
    """Two-sided probability of a value so far from 0 where the true one is 0."""


def estimate(seeds: Sequence[Mapping[str, Tensor]], figure: Statistic) -> Estimate:
    """A figure's mean over the seeds with its 95 % interval, by the paired bootstrap of images and `estimate_crossed`.

    Args:
        seeds: For each seed what images have to say, by name: shape (N, k). Names that begin alike up to the first
            ``/`` are of the same images, drawn together.
        figure: A function of their means.
    """
    values = torch.cat([figure({name: rows.double().mean(0)[None] for name, rows in each.items()}) for each in seeds])
    images = min(len(rows) for rows in seeds[0].values())
    if images < 2:
        return make_estimate_without_interval(values)
    covariance = torch.atleast_2d(torch.cov(torch.cat(list(_resamples(seeds, figure)), dim=1)))
    return estimate_crossed(values, covariance * images / (images - 1), images)


def estimate_from_blocks(values: Sequence[float], seeds: Sequence[Tensor]) -> Estimate:
    """As `estimate`, of a figure of whole sets, by `estimate_crossed` from its values in disjoint blocks of the images.

    A figure that is surer of the whole than the mean of its blocks, as KID is, gets an interval that is too wide.

    Args:
        values: Of the whole sets of each seed.
        seeds: Of the blocks of each seed, shape (blocks,), the same images in the same blocks.
    """
    whole, blocks = torch.tensor(values, dtype=torch.float64), torch.stack(list(seeds)).double()
    count = blocks.shape[1]
    if count < 2:
        return make_estimate_without_interval(whole)
    return estimate_crossed(whole, torch.atleast_2d(torch.cov(blocks)) / count, count)


def estimate_crossed(values: Tensor, covariance: Tensor, units: int) -> Estimate:
    """The mean of the n seeds' values with its 95 % interval, value +- t s.

    Of these seeds alone the variance s^2 of their mean is the mean of the covariance C, and t Student's. Of all seeds
    it is the variance of their values over n, which holds what images do to single seeds, and the mean of C off its
    diagonal, what they do to all seeds; t has the degrees of freedom of such a sum (Satterthwaite 1946).

    Args:
        values: Shape (n,).
        covariance: C, of their errors through the images, shape (n, n).
        units: Images, or blocks of them, that it comes from.
    """
    count = len(values)
    if count < MIN_SEEDS:
        return _estimate(values.mean().item(), covariance.mean().sqrt().item(), stats.t(units - 1))
    of_seeds = (values.var() / count).item()
    of_images = max(0.0, ((covariance.sum() - covariance.trace()) / (count * (count - 1))).item())
    variance = of_seeds + of_images
    parts = of_seeds**2 / (count - 1) + of_images**2 / (units - 1)
    return _estimate(values.mean().item(), math.sqrt(variance), stats.t(variance**2 / parts if parts else count - 1))


def make_estimate_without_interval(values: Tensor) -> Estimate:
    """The mean of the seeds' values (n,), where nothing tells how sure it is."""
    return Estimate(values.mean().item(), math.inf, -math.inf, math.inf, 1.0)


def compute_effect_size(differences: Sequence[Tensor]) -> float:
    """Cohen's d of paired images: the mean of their differences over its standard deviation.

    Args:
        differences: Of each seed, shape (N,), the images in the same order; the seeds' mean is taken first.

    Returns:
        Without unit; 0 where there is no difference at all.
    """
    of_images = torch.stack(list(differences)).double().mean(0)
    spread = of_images.std().item() if len(of_images) > 1 else 0.0
    return of_images.mean().item() / spread if spread else 0.0


def correct_holm(probabilities: Sequence[float]) -> list[float]:
    """Probabilities of several tests, raised so that any of those under a level is wrong as rarely as that level says.

    The smallest is multiplied by the number of tests, the next by one less, and none becomes smaller than one before
    it (Holm 1979).
    """
    order = sorted(range(len(probabilities)), key=probabilities.__getitem__)
    raised, least = [0.0] * len(probabilities), 0.0
    for place, index in enumerate(order):
        least = max(least, min(1.0, (len(order) - place) * probabilities[index]))
        raised[index] = least
    return raised


def _resamples(seeds: Sequence[Mapping[str, Tensor]], figure: Statistic) -> Iterator[Tensor]:
    """The figure of each seed, in parts of the resamples: shape (seeds, some)."""
    counts = {name.partition("/")[0]: len(rows) for name, rows in seeds[0].items()}
    size = max(1, MAX_WEIGHTS // max(counts.values()))
    for start in range(0, RESAMPLES, size):
        some = min(size, RESAMPLES - start)
        weights = {kind: _weights(some, count, f"images {kind}", start) for kind, count in counts.items()}
        yield torch.stack(
            [
                figure({name: weights[name.partition("/")[0]] @ rows.double() for name, rows in each.items()})
                for each in seeds
            ]
        )


def _weights(resamples: int, count: int, *purpose: str | int) -> Tensor:
    """How often each of ``count`` is drawn in ``count`` draws, as shares: float64, shape (resamples, count)."""
    drawn = torch.randint(count, (resamples, count), generator=make_generator(0, "bootstrap", *purpose))
    return torch.zeros(resamples, count, dtype=torch.float64).scatter_add_(
        1, drawn, torch.full(drawn.shape, 1 / count, dtype=torch.float64)
    )


def _estimate(value: float, error: float, distribution: "stats.rv_frozen") -> Estimate:
    reach = error * float(distribution.ppf((1 + CONFIDENCE) / 2))
    p = 2 * float(distribution.sf(abs(value) / error)) if error else float(value == 0)
    return Estimate(value, error, value - reach, value + reach, p)
