"""Negative log-likelihoods of images given their reconstruction, in nats per image.

Pixels are values in [-1, 1], so a density here is per unit of that range.
"""

import math

from torch import Tensor


def gaussian_nll(images: Tensor, reconstruction: Tensor, scale: float) -> Tensor:
    """-log N(x; x', scale^2 I), the squared error of a VAE with fixed variance.

    sum of (x - x')^2 / (2 scale^2) + log scale + 1/2 log 2 pi

    Args:
        images: Shape (N, ...).
        reconstruction: The same shape.
        scale: Standard deviation in units of the pixel range [-1, 1].

    Returns:
        Nats, shape (N,).
    """
    constant = math.log(scale) + 0.5 * math.log(2 * math.pi)
    return ((images - reconstruction).square() / (2 * scale**2) + constant).flatten(1).sum(1)


def laplace_nll(images: Tensor, reconstruction: Tensor, scale: float) -> Tensor:
    """-log Laplace(x; x', scale), the absolute error.

    sum of |x - x'| / scale + log(2 scale); arguments and result as `gaussian_nll`.
    """
    return ((images - reconstruction).abs() / scale + math.log(2 * scale)).flatten(1).sum(1)


NEGATIVE_LOG_LIKELIHOOD = {"gaussian": gaussian_nll, "laplace": laplace_nll}
"""The function of each `model.likelihood`."""
