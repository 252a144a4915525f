"""KID: the squared maximum mean discrepancy of two sets of features under a polynomial kernel."""

import torch
from torch import Tensor

from vaegan.randomness import make_generator

MAX_FEATURES = 5000
"""Features of a set that are compared all with all, since the pairs grow with their square."""
MIN_BLOCK_FEATURES = 20
"""Features that a block has, if there are so many."""
MAX_BLOCKS = 10
"""Blocks whose spread tells how sure the distance is."""
MAX_KERNEL_VALUES = 2**22
"""Pairs that are held at once."""


def compute_kid(real: Tensor, other: Tensor) -> float:
    """Kernel inception distance: `compute_mmd2` of all features, or of disjoint blocks of `MAX_FEATURES` where there are more.

    Args:
        real: Features, shape (N, d), N > 1.
        other: Those of the other set, shape (M, d), M > 1.

    Returns:
        Without unit; may be below 0, since its expectation is 0 where both sets are of one distribution.
    """
    return _of_blocks(real, other, -(-max(len(real), len(other)) // MAX_FEATURES)).mean().item()


def compute_mmd2(one: Tensor, other: Tensor) -> Tensor:
    """Unbiased MMD^2 under k(x, y) = (x'y / d + 1)^3 (Binkowski et al. 2018, section 4 and eq. 4).

    The mean of k over all pairs of different features of either set, less twice that over all pairs between them.

    Args:
        one: Shape (N, d), N > 1.
        other: Shape (M, d), M > 1.

    Returns:
        A scalar, float64, without unit.
    """
    one, other = one.double(), other.double()

    def total(x: Tensor, y: Tensor) -> Tensor:
        parts = x.split(max(1, MAX_KERNEL_VALUES // len(y)))
        return torch.stack([((part @ y.mT / x.shape[1] + 1) ** 3).sum() for part in parts]).sum()

    def within(x: Tensor) -> Tensor:
        itself = (x.square().sum(1) / x.shape[1] + 1) ** 3
        return (total(x, x) - itself.sum()) / (len(x) * (len(x) - 1))

    return within(one) + within(other) - 2 * total(one, other) / (len(one) * len(other))


def compute_block_values(real: Tensor, other: Tensor) -> Tensor:
    """`compute_mmd2` of disjoint blocks of both sets, which are independent of each other: how much `compute_kid` may be off.

    Their mean is an estimate of the same distance, and a noisier one than `compute_kid`, since it has fewer pairs. Which
    features a block holds is a function of the number of features alone: the same real images face every model.

    Args:
        real: Features, shape (N, d), N > 1.
        other: Those of the other set, shape (M, d), M > 1.

    Returns:
        float64, shape (blocks,), at most `MAX_BLOCKS`.
    """
    return _of_blocks(real, other, max(1, min(MAX_BLOCKS, min(len(real), len(other)) // MIN_BLOCK_FEATURES))).cpu()


def _of_blocks(real: Tensor, other: Tensor, count: int) -> Tensor:
    dealt = [
        features[torch.randperm(len(features), generator=make_generator(0, "kid", place))].tensor_split(count)
        for place, features in enumerate((real, other))
    ]
    return torch.stack([compute_mmd2(*pair) for pair in zip(*dealt, strict=True)])
