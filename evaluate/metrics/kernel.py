"""KID: the squared maximum mean discrepancy of two sets of features under a polynomial kernel."""

import math

import torch
from torch import Tensor

from vaegan.randomness import generator

MOST = 1000
"""Features of a block, since the kernel grows with their square."""
LEAST = 20
"""Features that a block has, if there are so many."""
ENOUGH = 10
"""Blocks from which their spread is known well enough."""


def mmd2(one: Tensor, other: Tensor) -> Tensor:
    """Unbiased MMD^2 under k(x, y) = (x'y / d + 1)^3 (Binkowski et al. 2018, section 4 and eq. 4).

    The mean of k over all pairs of different features of either set, less twice that over all pairs between them.

    Args:
        one: Shape (N, d), N > 1.
        other: Shape (M, d), M > 1.

    Returns:
        float64, without unit; may be below 0, since its expectation is 0 where both sets are of one distribution.
    """
    one, other = one.double(), other.double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.mT / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        values = kernel(x, x)
        return (values.sum() - values.trace()) / (len(x) * (len(x) - 1))

    return within(one) + within(other) - 2 * kernel(one, other).mean()


def block_values(real: Tensor, other: Tensor) -> Tensor:
    """Kernel inception distances, `mmd2`, of random blocks of both sets; their mean is that of the sets.

    The blocks are disjoint and hold every feature once, so that what they say is independent, other than of the usual
    random subsets, which overlap. Which features they hold is a function of the number of features alone: the same
    real images face every model.

    Args:
        real: Features, shape (N, d), N > 1.
        other: Those of the other set, shape (M, d), M > 1.

    Returns:
        float64, shape (blocks,).
    """
    count = blocks(len(real), len(other))
    dealt = [
        features[torch.randperm(len(features), generator=generator(0, "kid", place))].tensor_split(count)
        for place, features in enumerate((real, other))
    ]
    return torch.stack([mmd2(*pair) for pair in zip(*dealt, strict=True)]).cpu()


def blocks(real: int, other: int) -> int:
    """Into how many blocks two sets are dealt: `ENOUGH` if they are large enough, more where one has over `MOST`."""
    wanted = max(ENOUGH, math.ceil(max(real, other) / MOST))
    return max(1, min(wanted, min(real, other) // LEAST))
