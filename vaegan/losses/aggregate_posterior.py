"""Distances of the aggregate posterior from the prior N(0, I)."""

import torch
from torch import Tensor


def mmd_imq(codes: Tensor, prior_codes: Tensor) -> Tensor:
    """Compute the squared maximum mean discrepancy, inverse multiquadric kernel (Tolstikhin et al. 2018, section 4).

    k(a, b) = sum over s of s C / (s C + |a - b|^2) with C = 2 d and s in {.1, .2, .5, 1, 2, 5, 10}, divided
    by 7 so that k <= 1; the U-statistic, so it is unbiased and can be slightly negative.

    Args:
        codes: Samples of the aggregate posterior, shape (N, d) with N >= 2.
        prior_codes: Samples of N(0, I), shape (M, d) with M >= 2.

    Returns:
        A scalar, float64.
    """
    codes, prior_codes = codes.double(), prior_codes.double()
    within = _mean_off_diagonal(_imq(codes, codes)) + _mean_off_diagonal(_imq(prior_codes, prior_codes))
    return within - 2 * _imq(codes, prior_codes).mean()


def frechet_standard_normal(codes: Tensor) -> Tensor:
    """Compute the squared Frechet distance of a Gaussian fitted to codes from N(0, I) (Dowson & Landau 1982).

    |mu|^2 + tr(S + I - 2 S^(1/2)) = |mu|^2 + sum (sqrt(s) - 1)^2 over the eigenvalues s of S.
    Finite samples bias it upwards by about d^2 / (4 N) + d / N, so compare it at equal N only.

    Args:
        codes: Samples of the aggregate posterior, shape (N, d) with N >= 2.

    Returns:
        A scalar, at least 0, float64.
    """
    codes = codes.double()
    count, size = codes.shape
    centred = (codes - codes.mean(0)) / (count - 1) ** 0.5
    deviations = torch.linalg.eigvalsh(centred @ centred.T if count < size else centred.T @ centred).clamp_min(0).sqrt()
    zeros = max(0, size - count)  # number of further eigenvalues, all of them 0
    distance: Tensor = codes.mean(0).square().sum() + (deviations - 1).square().sum() + zeros
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
