"""Vector quantisation (van den Oord et al. 2017): the nearest codebook entry of a vector, and codebook updates.

Notation: K entries e of D numbers; z are vectors of the encoder, here of shape (n, D).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def find_nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Return the index argmin_k |z - e_k| of each vector (eq. 1), int64, shape (n,); of ties the first.

    Args:
        vectors: Vectors z, shape (n, D).
        codebook: Entries e, shape (K, D).
    """
    return (codebook.square().sum(1) - 2 * vectors @ codebook.mT).argmin(1)


def straight_through(vectors: Tensor, entries: Tensor) -> Tensor:
    """Return the entries with the gradient passed to the vectors (section 3.2), shape (N, D, g, g).

    Args:
        vectors: Vectors z, shape (N, D, g, g).
        entries: Nearest entry of each, shape (N, D, g, g).
    """
    return vectors + (entries - vectors).detach()


def vq_distance(trained: Tensor, fixed: Tensor) -> Tensor:
    """Compute the mean squared distance of vectors and their entries, shape (N,): the last two terms of eq. 3.

    It is the commitment loss where the encoder's vectors get the gradient, the codebook loss where the entries do.

    Args:
        trained: Vectors or entries that get the gradient, shape (N, ...).
        fixed: Their counterparts, which get none, shape (N, ...).
    """
    assert trained.shape == fixed.shape
    return F.mse_loss(trained, fixed.detach(), reduction="none").flatten(1).mean(1)


def sum_assigned_vectors(vectors: Tensor, indices: Tensor, entries: int) -> tuple[Tensor, Tensor]:
    """Return the number and the sum of the vectors that are assigned to each entry.

    Args:
        vectors: Shape (n, D).
        indices: Index of the entry of each vector, int64, shape (n,).
        entries: Number K of entries.

    Returns:
        Counts, shape (K,), and sums, shape (K, D), both float64.
    """
    sums = torch.zeros(entries, vectors.shape[1], dtype=torch.float64, device=vectors.device)
    return count_assigned_vectors(indices, entries), sums.index_add_(0, indices, vectors.double())


def count_assigned_vectors(indices: Tensor, entries: int) -> Tensor:
    """Return the number of the vectors that are assigned to each entry, float64, shape (K,).

    Unlike `torch.bincount` it does not wait for the device.

    Args:
        indices: Index of the entry of each vector, int64, shape (n,).
        entries: Number K of entries.
    """
    ones = torch.ones(len(indices), dtype=torch.float64, device=indices.device)
    return torch.zeros(entries, dtype=torch.float64, device=indices.device).index_add_(0, indices, ones)


def compute_centroids(counts: Tensor, sums: Tensor, smoothing: float = 1e-5) -> Tensor:
    """Compute the codebook m_k / N_k (appendix A.1, eq. 8), shape (K, D), from Laplace-smoothed counts.

    N_k is replaced by (N_k + smoothing) / (N + K smoothing) N, with N the sum of all N_k, which does not change.

    Args:
        counts: Average number N_k of vectors per step that are assigned to each entry, shape (K,).
        sums: Average sum m_k of these vectors, shape (K, D).
        smoothing: Number of vectors added to each count.
    """
    total = counts.sum()
    smoothed = (counts + smoothing) / (total + smoothing * len(counts)) * total
    return sums / smoothed[:, None]


def perplexity(counts: Tensor) -> float:
    """Compute exp of the entropy of the entries' frequencies: 1 if one entry is always used, K if all equally often.

    Args:
        counts: Number of vectors that are assigned to each entry, shape (K,).
    """
    frequencies = counts.double() / counts.sum()
    return float(torch.special.entr(frequencies).sum().exp())


def usage(counts: Tensor) -> float:
    """Compute the fraction of the entries that are used at all, in [0, 1].

    Args:
        counts: Number of vectors that are assigned to each entry, shape (K,).
    """
    return float((counts > 0).double().mean())
