"""Metrics of the pixels of an image and its reconstruction: PSNR, SSIM and MS-SSIM."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

PIXEL_RANGE = 2.0
"""Difference of the brightest pixel, 1, and the darkest one, -1."""

ROUNDING_VARIANCE = (PIXEL_RANGE / 255) ** 2 / 12
"""Variance of the rounding of a pixel to 8 bits, a uniform error: no 8-bit image is more exact."""

MAX_PSNR_DB = 10 * math.log10(PIXEL_RANGE**2 / ROUNDING_VARIANCE)
"""Largest PSNR, 58.9 dB, that of the rounding to 8 bits; identical images have it instead of infinity."""

WINDOW_SIGMA_PIXELS = 1.5
"""Standard deviation of the papers' Gaussian window in pixels."""

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first (Wang et al. 2003, section 3.2)."""


def psnr(images: Tensor, reconstruction: Tensor) -> Tensor:
    """Compute the peak signal-to-noise ratio, 10 log10(range^2 / mean squared error), at most `MAX_PSNR_DB`.

    Args:
        images: Shape (N, C, S, S) in [-1, 1].
        reconstruction: The same shape.

    Returns:
        Decibel, float64, shape (N,).
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio  # a training does without it

    ratio: Tensor = peak_signal_noise_ratio(
        reconstruction.double(), images.double(), data_range=PIXEL_RANGE, reduction="none", dim=(1, 2, 3)
    )
    return ratio.clamp_max(MAX_PSNR_DB)


def ssim_sigma(size: int) -> float:
    """Return the window's standard deviation in pixels: 1.5 as in the paper, less on images under 16 pixels."""
    return min(WINDOW_SIGMA_PIXELS, WINDOW_SIGMA_PIXELS * size / 16)


def ssim_window(sigma: float) -> int:
    """Return the side in pixels of the window, which torchmetrics derives from `ssim_sigma`: 11, and 7 at 8 pixels."""
    return 2 * int(3.5 * sigma + 0.5) + 1


def ssim(images: Tensor, reconstruction: Tensor, sigma: float | None = None) -> Tensor:
    """Compute the structural similarity (Wang et al. 2004, eq. 13) with K1 = 0.01 and K2 = 0.03.

    Mean over the channels and over the windows that lie wholly inside the image, as in the paper.

    Args:
        images: Shape (N, C, S, S) in [-1, 1], S >= 8.
        reconstruction: The same shape.
        sigma: Standard deviation of the window in pixels; None: `ssim_sigma` of the images.

    Returns:
        At most 1, float64, shape (N,).
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    sigma = sigma or ssim_sigma(min(images.shape[-2:]))
    similarity: Tensor = structural_similarity_index_measure(
        reconstruction.double(),
        images.double(),
        sigma=sigma,
        data_range=PIXEL_RANGE,
        reduction="none",
        return_full_image=True,
    )[1]
    border = ssim_window(sigma) // 2
    return similarity[..., border:-border, border:-border].flatten(1).mean(1)


def ms_ssim_weights(size: int) -> list[float]:
    """Return the exponents of the scales, finest first: those of the paper as long as the window fits, of sum 1.

    Five scales from 176 pixels on, two at 32, one under 22.
    """
    scales = 1
    while scales < len(SCALE_WEIGHTS) and size // 2**scales >= ssim_window(WINDOW_SIGMA_PIXELS):
        scales += 1
    return [weight / sum(SCALE_WEIGHTS[:scales]) for weight in SCALE_WEIGHTS[:scales]]


def ms_ssim_sigma(size: int) -> float:
    """Return the standard deviation of the window at all scales: the paper's where its window fits the coarsest one."""
    return WINDOW_SIGMA_PIXELS if size >= ssim_window(WINDOW_SIGMA_PIXELS) else ssim_sigma(size)


def ms_ssim(images: Tensor, reconstruction: Tensor) -> Tensor:
    """Compute the multi-scale structural similarity (Wang et al. 2003, eq. 7), with fewer scales under 176 pixels.

    The product over the scales of the mean of contrast times structure, and at the coarsest of `ssim`, each to its
    exponent of `ms_ssim_weights`; below 0 a factor counts as 0.

    Args:
        images: Shape (N, C, S, S) in [-1, 1], S >= 8.
        reconstruction: The same shape.

    Returns:
        From 0 to 1, float64, shape (N,).
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    images, reconstruction = images.double(), reconstruction.double()
    weights = ms_ssim_weights(images.shape[-1])
    sigma = ms_ssim_sigma(images.shape[-1])
    product = torch.ones(len(images), dtype=torch.float64, device=images.device)
    for weight in weights[:-1]:
        contrast: Tensor = structural_similarity_index_measure(
            reconstruction,
            images,
            sigma=sigma,
            data_range=PIXEL_RANGE,
            reduction="none",
            return_contrast_sensitivity=True,
        )[1]
        product = product * contrast.clamp_min(0) ** weight
        images, reconstruction = F.avg_pool2d(images, 2), F.avg_pool2d(reconstruction, 2)
    return product * ssim(images, reconstruction, sigma).clamp_min(0) ** weights[-1]


def describe_ssim(size: int | None) -> dict[str, Any]:
    """Return the protocol of `ssim` of images of side S in pixels, or None of their own sizes: the window."""
    if size is None:
        return {"sigma": f"{WINDOW_SIGMA_PIXELS}, less on sides under 16 pixels"}
    sigma = ssim_sigma(size)
    return {"window": ssim_window(sigma), "sigma": sigma}


def describe_ms_ssim(size: int) -> dict[str, Any]:
    """Return the protocol of `ms_ssim` of images of side S in pixels: the scales, five in the paper, and the window."""
    sigma, weights = ms_ssim_sigma(size), ms_ssim_weights(size)
    return {"scales": len(weights), "weights": weights, "window": ssim_window(sigma), "sigma": sigma}
