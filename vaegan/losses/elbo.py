"""The terms of the evidence lower bound: negative log-likelihoods, and KL divergence from the prior, in nats.

Pixels are values in [-1, 1], so a density here is per unit of that range.
"""

import math

import torch.nn.functional as F
from torch import Tensor

from .per_image import assert_per_image


def gaussian_nll(images: Tensor, reconstruction: Tensor, scale: Tensor | float) -> Tensor:
    """Compute -log N(x; x', scale^2 I) in nats, shape (N,), the squared error with one variance for all pixels.

    sum of (x - x')^2 / (2 scale^2) + log scale + 1/2 log 2 pi

    The variance is fixed, or learned by gradient: its optimum is then the mean squared error, which weights
    reconstruction against divergence as in the ELBO (Rybkin et al. 2021, section 3.1).

    Args:
        images: Images x, shape (N, ...).
        reconstruction: Decoded codes x', shape (N, ...).
        scale: Standard deviation in units of the pixel range [-1, 1]; a tensor is a scalar.
    """
    assert images.shape == reconstruction.shape
    constant = images[0].numel() * (_log(scale) + 0.5 * math.log(2 * math.pi))
    error = F.mse_loss(reconstruction, images, reduction="none").flatten(1).sum(1)
    return assert_per_image(error / (2 * scale**2) + constant, images)


def laplace_nll(images: Tensor, reconstruction: Tensor, scale: Tensor | float) -> Tensor:
    """Compute -log Laplace(x; x', scale) in nats, shape (N,), the absolute error.

    sum of |x - x'| / scale + log(2 scale)

    The optimum of a learned scale is the mean absolute error.

    Args:
        images: Images x, shape (N, ...).
        reconstruction: Decoded codes x', shape (N, ...).
        scale: Scale b in units of the pixel range [-1, 1]; a tensor is a scalar.
    """
    assert images.shape == reconstruction.shape
    constant = images[0].numel() * (_log(scale) + math.log(2))
    error = F.l1_loss(reconstruction, images, reduction="none").flatten(1).sum(1)
    return assert_per_image(error / scale + constant, images)


def bernoulli_nll(images: Tensor, pre_tanh: Tensor) -> Tensor:
    """Compute the cross-entropy of intensities v = (x + 1) / 2 and probabilities p in nats, shape (N,).

    sum of -v log p - (1 - v) log(1 - p), where p = (tanh(a) + 1) / 2 = sigmoid(2 a)
    (Kingma & Welling 2014, appendix C.1)

    It is computed from a, so that it is exact and has the gradient 2 (p - v) where tanh(a) rounds to 1 or -1. Of grey
    images it is the mean of -log P(b) over black-and-white images b whose pixels are white with probability v: neither
    a density of x nor a probability of its 8-bit levels.

    Args:
        images: Images x, shape (N, ...) in [-1, 1].
        pre_tanh: Unbounded pixels a, shape (N, ...).
    """
    intensities = (images + 1) / 2
    errors = F.binary_cross_entropy_with_logits(2 * pre_tanh, intensities, reduction="none").flatten(1).sum(1)
    return assert_per_image(errors, images)


NLL_WITH_SCALE = {"gaussian": gaussian_nll, "laplace": laplace_nll}
"""Negative log-likelihood of each `model.likelihood` that has a scale."""


def kl_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Compute KL(N(mean, variance) || N(0, 1)) of each dimension in nats (Kingma & Welling 2014, appendix B).

    1/2 (mean^2 + variance - 1 - log variance)

    Args:
        mean: Shape (N, d).
        log_variance: Natural logarithms of the variances, shape (N, d).

    Returns:
        Divergences, at least 0, shape (N, d).
    """
    assert mean.shape == log_variance.shape
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def code_nll(codes: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Compute -log N(z; mean, variance) of each dimension in nats, shape (N, d).

    1/2 ((z - mean)^2 / variance + log variance + log 2 pi)

    Args:
        codes: Codes z, shape (N, d).
        mean: Shape (N, d).
        log_variance: Natural logarithms of the variances, shape (N, d).
    """
    assert codes.shape == mean.shape == log_variance.shape
    return 0.5 * ((codes - mean).square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi))


def apply_free_bits(divergence: Tensor, free: float) -> Tensor:
    """Return max(free, KL) of each dimension (Kingma et al. 2016, eq. 15, per sample), shape (N, d).

    The paper takes the maximum of the batch mean; a maximum of each sample keeps the loss a mean of
    per-sample terms.

    Args:
        divergence: KL divergences in nats, shape (N, d).
        free: Free nats of each dimension; 0: the divergence is returned as it is.
    """
    return divergence.clamp_min(free) if free else divergence


def _log(scale: Tensor | float) -> Tensor | float:
    return scale.log() if isinstance(scale, Tensor) else math.log(scale)
