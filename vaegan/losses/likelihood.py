"""Negative log-likelihoods of images given what the decoder makes of their codes, in nats per image.

Pixels are values in [-1, 1], so a density here is per unit of that range.
"""

import math

import torch.nn.functional as F
from torch import Tensor


def gaussian_nll(images: Tensor, reconstruction: Tensor, scale: Tensor | float) -> Tensor:
    """-log N(x; x', scale^2 I), the squared error of a VAE with one variance for all pixels.

    sum of (x - x')^2 / (2 scale^2) + log scale + 1/2 log 2 pi

    The variance is fixed, or learned by gradient: its optimum is then the mean squared error, which weighs
    reconstruction against divergence as the ELBO has it (Rybkin et al. 2021, section 3.1).

    Args:
        images: Shape (N, ...).
        reconstruction: The same shape.
        scale: Standard deviation in units of the pixel range [-1, 1]; a tensor is a scalar.

    Returns:
        Nats, shape (N,).
    """
    constant = _log(scale) + 0.5 * math.log(2 * math.pi)
    return ((images - reconstruction).square() / (2 * scale**2) + constant).flatten(1).sum(1)


def laplace_nll(images: Tensor, reconstruction: Tensor, scale: Tensor | float) -> Tensor:
    """-log Laplace(x; x', scale), the absolute error.

    sum of |x - x'| / scale + log(2 scale); arguments and result as `gaussian_nll`. The optimum of a learned scale is
    the mean absolute error.
    """
    return ((images - reconstruction).abs() / scale + _log(scale) + math.log(2)).flatten(1).sum(1)


def bernoulli_nll(images: Tensor, pre_tanh: Tensor) -> Tensor:
    """Cross-entropy of the intensities v = (x + 1) / 2 and probabilities p (Kingma & Welling 2014, appendix C.1).

    sum of -v log p - (1 - v) log(1 - p), where p = (tanh(a) + 1) / 2 = sigmoid(2 a)

    It is taken from a, so that it is exact and has the slope 2 (p - v) where tanh(a) rounds to 1 or -1. Of grey images
    it is the mean of -log P(b) over images b of black and white whose pixels are white with probability v: neither a
    density of x nor a probability of its 8-bit levels.

    Args:
        images: Shape (N, ...) in [-1, 1].
        unbounded: a, the same shape.

    Returns:
        Nats, shape (N,).
    """
    intensities = (images + 1) / 2
    return F.binary_cross_entropy_with_logits(2 * pre_tanh, intensities, reduction="none").flatten(1).sum(1)


NEGATIVE_LOG_DENSITY = {"gaussian": gaussian_nll, "laplace": laplace_nll}
"""The function of each `model.likelihood` that has a scale."""


def _log(scale: Tensor | float) -> Tensor | float:
    return scale.log() if isinstance(scale, Tensor) else math.log(scale)
