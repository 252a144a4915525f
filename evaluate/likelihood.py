"""The evidence lower bound of 8-bit images, a true code length."""

import math
from typing import Any

import torch
from torch import Tensor

from vaegan.config.models import VAEConfig
from vaegan.losses.divergence import kl_standard_normal

from .metric import Metric, Pairs, Result
from .sums import Sums, mean, summed

HALF_LEVEL = 1 / 255
"""Half the distance of two neighbouring 8-bit levels in [-1, 1]."""


def gaussian_log_interval(lower: Tensor, upper: Tensor) -> Tensor:
    """log(Phi(upper) - Phi(lower)) of the standard normal distribution, without cancellation in the tails.

    An interval to the right of 0 is mirrored to the left, where log Phi is precise; then
    log Phi(upper) + log(1 - exp(log Phi(lower) - log Phi(upper))).

    Args:
        lower: float64 of any shape; may be -inf.
        upper: The same shape, larger; may be inf.

    Returns:
        Nats, the same shape.
    """
    lower, upper = _mirrored(lower, upper)
    top: Tensor = torch.special.log_ndtr(upper)
    below: Tensor = torch.special.log_ndtr(lower) - top
    return top + (-below.expm1()).log()


def laplace_log_interval(lower: Tensor, upper: Tensor) -> Tensor:
    """As `gaussian_log_interval`, of the Laplace distribution with scale 1.

    Left of 0 the probability is (e^upper - e^lower) / 2; around 0 it is 1 - (e^lower + e^-upper) / 2.
    """
    lower, upper = _mirrored(lower, upper)
    left = upper - math.log(2) + (-(lower - upper).expm1()).log()
    around = (-0.5 * (lower.expm1() + (-upper).expm1())).log()
    return torch.where(upper <= 0, left, around)


LOG_INTERVAL = {"gaussian": gaussian_log_interval, "laplace": laplace_log_interval}
"""The function of each `model.likelihood`."""


def log_probability(pixels: Tensor, mean: Tensor, likelihood: str, scale: float) -> Tensor:
    """Logarithm of P(pixel) of 8-bit pixels: the mass that p(x | z) puts on the interval that rounds to each.

    The intervals of 0 and 255 are open outwards, so that the 256 probabilities add up to 1
    (Salimans et al. 2017, section 2.1, for another distribution).

    Args:
        pixels: uint8 of any shape.
        mean: Decoder's output, the same shape, in the units of [-1, 1].
        likelihood: `gaussian` or `laplace`.
        scale: Standard deviation (gaussian) or b (laplace), in the same units.

    Returns:
        Nats, float64, the same shape.
    """
    distance = pixels.double() / 127.5 - 1 - mean.double()
    lower = torch.where(pixels == 0, -torch.inf, (distance - HALF_LEVEL) / scale)
    upper = torch.where(pixels == 255, torch.inf, (distance + HALF_LEVEL) / scale)
    return LOG_INTERVAL[likelihood](lower, upper)


class ELBO(Metric):
    """Mean over the images of log P(x | z) - KL(q(z | x) || N(0, I)) for one z from q(z | x).

    The bound of the model with beta = 1 and without free bits, whatever it was trained with, and
    bits/dim = -ELBO / (values per image * log 2).

    Args:
        config: Of the model.
        values: C S S, pixels of an image times its channels.
    """

    def __init__(self, config: VAEConfig, values: int) -> None:
        self.config = config
        self.values = values

    def protocol(self) -> dict[str, Any]:
        """The likelihood."""
        return {
            "likelihood": f"{self.config.likelihood}, discretised to 256 levels",
            "scale": self.config.scale,
            "posterior_samples": 1,
        }

    def pairs(self, pairs: Pairs) -> Sums:
        """Of the images' own bounds, by what the decoder says of a sample of their codes."""
        config, posterior = self.config, pairs.posterior
        log_likelihood = log_probability(pairs.pixels, pairs.likelihood_mean, config.likelihood, config.scale)
        divergence = kl_standard_normal(posterior.mean.double(), posterior.log_variance.double())
        return summed(log_likelihood.flatten(1).sum(1) - divergence.sum(1))

    def result(self, sums: Sums) -> Result:
        """Nats per image, and bits per value of an 8-bit image."""
        elbo = mean(sums)
        return Result({"elbo": elbo, "bits_per_dim": -elbo / (self.values * math.log(2))})


def _mirrored(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    right = lower > 0
    return torch.where(right, -upper, lower), torch.where(right, -lower, upper)
