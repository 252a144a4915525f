"""How far posteriors are from the prior, image by image and as an aggregate."""

import math

import torch
from torch import Tensor


def kl_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of each dimension, in nats (Kingma & Welling 2014, appendix B).

    1/2 (mean^2 + variance - 1 - log variance)

    Args:
        mean: Any shape.
        log_variance: The same shape; natural logarithm.

    Returns:
        At least 0, the same shape.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def code_nll(codes: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """-log N(codes; mean, variance) of each dimension, in nats; all of the same shape.

    1/2 ((z - mean)^2 / variance + log variance + log 2 pi)
    """
    return 0.5 * ((codes - mean).square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi))


def apply_free_bits(divergence: Tensor, free: float) -> Tensor:
    """The divergence that costs: max(free, KL) of each dimension (Kingma et al. 2016, eq. 15, per sample).

    The paper takes the maximum of the batch mean; a maximum of each sample keeps the loss a mean of
    per-sample terms.
    """
    return divergence.clamp_min(free) if free else divergence


def mmd_imq(codes: Tensor, prior: Tensor) -> Tensor:
    """Squared maximum mean discrepancy, inverse multiquadric kernel (Tolstikhin et al. 2018, section 4).

    k(a, b) = sum over s of s C / (s C + |a - b|^2) with C = 2 d and s in {.1, .2, .5, 1, 2, 5, 10}, divided
    by 7 so that k <= 1; the U-statistic, so it is unbiased and can be slightly negative.

    Args:
        codes: Samples of the aggregate posterior, shape (N, d) with N >= 2.
        prior: Samples of N(0, I), shape (M, d) with M >= 2.

    Returns:
        A scalar, float64.
    """
    codes, prior = codes.double(), prior.double()
    within = _mean_off_diagonal(_imq(codes, codes)) + _mean_off_diagonal(_imq(prior, prior))
    return within - 2 * _imq(codes, prior).mean()


def frechet_standard_normal(codes: Tensor) -> Tensor:
    """Squared Frechet distance of a Gaussian fitted to codes from N(0, I) (Dowson & Landau 1982).

    |mu|^2 + tr(S + I - 2 S^(1/2)), which the eigenvalues s of S give as |mu|^2 + sum (sqrt(s) - 1)^2.
    Finite samples bias it upwards by about d^2 / (4 N) + d / N, so compare it at equal N only.

    Args:
        codes: Samples of the aggregate posterior, shape (N, d) with N >= 2.

    Returns:
        A scalar, at least 0, float64.
    """
    codes = codes.double()
    count, size = codes.shape
    centred = (codes - codes.mean(0)) / (count - 1) ** 0.5
    spread = torch.linalg.eigvalsh(centred @ centred.T if count < size else centred.T @ centred).clamp_min(0).sqrt()
    unseen = max(0, size - count)  # further eigenvalues, all of them 0
    distance: Tensor = codes.mean(0).square().sum() + (spread - 1).square().sum() + unseen
    return distance


def _imq(a: Tensor, b: Tensor) -> Tensor:
    distance = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()
    scales = [2 * a.shape[1] * scale for scale in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
    kernel = torch.zeros_like(distance)
    for scale in scales:  # one at a time, since the kernel of a large batch is large
        kernel += scale / (scale + distance)
    return kernel / len(scales)


def _mean_off_diagonal(kernel: Tensor) -> Tensor:
    count = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))
