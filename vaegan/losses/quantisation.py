"""Vector quantisation (van den Oord et al. 2017): which entry of a codebook stands for a vector, and how it is learnt.

Notation: K entries e of D numbers; z are vectors of the encoder, here of shape (n, D).
"""

import torch
from torch import Tensor


def find_nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """argmin_k |z - e_k| of each vector (eq. 1); ties: the first.

    Args:
        vectors: Shape (n, D).
        codebook: Shape (K, D).

    Returns:
        int64, shape (n,).
    """
    return (codebook.square().sum(1) - 2 * vectors @ codebook.mT).argmin(1)


def straight_through(vectors: Tensor, entries: Tensor) -> Tensor:
    """The entries, with the gradient of the vectors (section 3.2)."""
    return vectors + (entries - vectors).detach()


def commitment_distance(moving: Tensor, fixed: Tensor) -> Tensor:
    """Mean squared distance from what gets no gradient, a value for each image: the last two terms of eq. 3.

    With the encoder's vectors moving it is the commitment, with the codebook's entries moving the codebook loss.

    Args:
        moving: Shape (N, ...).
        fixed: The same shape.

    Returns:
        Shape (N,), per number.
    """
    return (moving - fixed.detach()).square().flatten(1).mean(1)


def tally(vectors: Tensor, indices: Tensor, entries: int) -> tuple[Tensor, Tensor]:
    """How many vectors each entry stands for, shape (K,), and their sum, shape (K, D); both float64."""
    counts = torch.zeros(entries, dtype=torch.float64, device=vectors.device)
    sums = torch.zeros(entries, vectors.shape[1], dtype=torch.float64, device=vectors.device)
    ones = torch.ones(len(indices), dtype=torch.float64, device=vectors.device)
    return counts.index_add_(0, indices, ones), sums.index_add_(0, indices, vectors.double())


def compute_centres(counts: Tensor, sums: Tensor, smoothing: float = 1e-5) -> Tensor:
    """The codebook m_k / N_k (appendix A.1, eq. 8), N_k smoothed as if each entry stood for ``smoothing`` vectors more.

    Args:
        counts: N_k, how many vectors of a step each entry stands for on average, shape (K,).
        sums: m_k, their sum on average, shape (K, D).
        smoothing: In vectors.

    Returns:
        Shape (K, D).
    """
    total = counts.sum()
    smooth = (counts + smoothing) / (total + smoothing * len(counts)) * total
    return sums / smooth[:, None]


def perplexity(counts: Tensor) -> float:
    """exp of the entropy of how often entries are used: 1 if it is always the same one, K if all are alike."""
    shares = counts.double() / counts.sum()
    return float(torch.special.entr(shares).sum().exp())


def usage(counts: Tensor) -> float:
    """Share of the entries that are used at all."""
    return float((counts > 0).double().mean())
