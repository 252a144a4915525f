"""KID: the squared maximum mean discrepancy of two sets of features under a polynomial kernel."""

import torch
from torch import Tensor

from vaegan.distributed import all_reduce, get_group_rank_and_size
from vaegan.randomness import make_generator

from .dealt_rows import DealtRows

MAX_FEATURES = 5000
"""Largest number of features of which all pairs are compared; their number grows with its square."""
MIN_BLOCK_FEATURES = 20
"""Smallest number of features of a block; a smaller set is one block."""
MAX_BLOCKS = 10
"""Largest number of blocks, whose spread gives the confidence interval."""
MAX_KERNEL_VALUES = 2**20
"""Largest number of kernel values that a process holds in memory at once."""


def compute_kid(real: DealtRows, other: DealtRows) -> float:
    """Compute the kernel inception distance: the unbiased MMD^2 of all features, or of blocks of `MAX_FEATURES`.

    All processes call this together. Each holds the features of one block of either set at a time.

    Args:
        real: Features, shape (N, d), N > 1.
        other: Features of the other set, shape (M, d), M > 1.

    Returns:
        The distance, without unit; may be below 0, since its expectation is 0 where both sets are of one distribution.
    """
    return _compute_blocks(real, other, -(-max(len(real), len(other)) // MAX_FEATURES)).mean().item()


def compute_mmd2(one: Tensor, other: Tensor) -> Tensor:
    """Compute the unbiased MMD^2 under k(x, y) = (x'y / d + 1)^3 (Binkowski et al. 2018, section 4 and eq. 4).

    The mean of k over all pairs of different features of either set, less twice that over all pairs between them. All
    processes call this together with the same features; each computes its part of the pairs, and all get the same bits,
    whatever their number.

    Args:
        one: Shape (N, d), N > 1.
        other: Shape (M, d), M > 1.

    Returns:
        A scalar, float64, without unit.
    """
    one, other = one.double(), other.double()

    rank, size = get_group_rank_and_size()

    def sum_kernel(x: Tensor, y: Tensor) -> Tensor:
        parts = x.split(max(1, MAX_KERNEL_VALUES // len(y)))
        sums = x.new_zeros(len(parts))
        for number in range(rank, len(parts), size):
            sums[number] = ((parts[number] @ y.mT / x.shape[1] + 1) ** 3).sum()
        return all_reduce(sums).sum()

    def mean_off_diagonal(x: Tensor) -> Tensor:
        diagonal = (x.square().sum(1) / x.shape[1] + 1) ** 3
        return (sum_kernel(x, x) - diagonal.sum()) / (len(x) * (len(x) - 1))

    return mean_off_diagonal(one) + mean_off_diagonal(other) - 2 * sum_kernel(one, other) / (len(one) * len(other))


def compute_block_values(real: DealtRows, other: DealtRows) -> Tensor:
    """Compute the unbiased MMD^2 of disjoint blocks of both sets, whose spread gives the error of `compute_kid`.

    The blocks are independent of each other. Their mean estimates the same distance, with more noise than
    `compute_kid`, since it has fewer pairs. The features of a block are a function of the number of features alone, so
    that every model is compared with the same real images.

    Args:
        real: Features, shape (N, d), N > 1.
        other: Features of the other set, shape (M, d), M > 1.

    Returns:
        The distance of each block, float64, shape (blocks,), at most `MAX_BLOCKS`.
    """
    return _compute_blocks(real, other, max(1, min(MAX_BLOCKS, min(len(real), len(other)) // MIN_BLOCK_FEATURES))).cpu()


def _compute_blocks(real: DealtRows, other: DealtRows, count: int) -> Tensor:
    """Compute the MMD^2 of ``count`` pairs of blocks; the blocks of a set that is too small for so many take turns."""
    blocks = []
    for index, features in enumerate((real, other)):
        order = torch.randperm(len(features), generator=make_generator(0, "kid", index))
        blocks.append(order.tensor_split(max(1, min(count, len(features) // MIN_BLOCK_FEATURES))))
    ours, others = ([each[number % len(each)] for number in range(count)] for each in blocks)
    return torch.stack([compute_mmd2(real.fetch(a), other.fetch(b)) for a, b in zip(ours, others, strict=True)])
