"""Probabilities of 8-bit pixels under p(x | z): the mass that a distribution of real numbers puts on each level."""

import math

import torch
from torch import Tensor

HALF_LEVEL = 1 / 255
"""Half the distance of two neighbouring 8-bit levels in [-1, 1]."""


def gaussian_log_interval(lower: Tensor, upper: Tensor) -> Tensor:
    """Compute log(Phi(upper) - Phi(lower)) of the standard normal distribution, without cancellation in the tails.

    An interval to the right of 0 is mirrored to the left, where log Phi is precise; then
    log Phi(upper) + log(1 - exp(log Phi(lower) - log Phi(upper))).

    Args:
        lower: float64 of any shape; may be -inf.
        upper: The same shape, larger; may be inf.

    Returns:
        Nats, the same shape.
    """
    lower, upper = _mirror(lower, upper)
    top: Tensor = torch.special.log_ndtr(upper)
    below: Tensor = torch.special.log_ndtr(lower) - top
    return top + (-below.expm1()).log()


def laplace_log_interval(lower: Tensor, upper: Tensor) -> Tensor:
    """Compute log(F(upper) - F(lower)) of the Laplace distribution function F with scale 1, without cancellation.

    Left of 0 the probability is (e^upper - e^lower) / 2; around 0 it is 1 - (e^lower + e^-upper) / 2.

    Args:
        lower: float64 of any shape; may be -inf.
        upper: The same shape, larger; may be inf.

    Returns:
        Nats, the same shape.
    """
    lower, upper = _mirror(lower, upper)
    left = upper - math.log(2) + (-(lower - upper).expm1()).log()
    around = (-0.5 * (lower.expm1() + (-upper).expm1())).log()
    return torch.where(upper <= 0, left, around)


LOG_INTERVAL = {"gaussian": gaussian_log_interval, "laplace": laplace_log_interval}
"""Function of each `model.likelihood`."""


def log_probability(pixels: Tensor, mean: Tensor, likelihood: str, scale: float) -> Tensor:
    """Compute log P(pixel) of 8-bit pixels: the mass that p(x | z) puts on the interval that rounds to each.

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


def _mirror(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    right = lower > 0
    return torch.where(right, -upper, lower), torch.where(right, -lower, upper)
