"""Figures of the pixels of an image and its reconstruction: PSNR and SSIM."""

import math
from typing import Any

from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from .metric import Metric, Pairs, Result
from .sums import Sums, mean, summed

RANGE = 2.0
"""From the darkest pixel, -1, to the brightest, 1."""

ROUNDING_VARIANCE = (RANGE / 255) ** 2 / 12
"""Variance of the rounding of a pixel to 8 bits: what no 8-bit image can be trusted below."""

PSNR_LIMIT = 10 * math.log10(RANGE**2 / ROUNDING_VARIANCE)
"""58.9 decibel. An error smaller than the rounding to 8 bits counts as that, so that identical images have a number."""


def psnr(images: Tensor, reconstruction: Tensor) -> Tensor:
    """Peak signal-to-noise ratio, 10 log10(range^2 / mean squared error), at most `PSNR_LIMIT`.

    Args:
        images: Shape (N, C, S, S) in [-1, 1].
        reconstruction: The same shape.

    Returns:
        Decibel, float64, shape (N,).
    """
    ratio: Tensor = peak_signal_noise_ratio(
        reconstruction.double(), images.double(), data_range=RANGE, reduction="none", dim=(1, 2, 3)
    )
    return ratio.clamp_max(PSNR_LIMIT)


def ssim_sigma(size: int) -> float:
    """Standard deviation in pixels of the Gaussian window: 1.5 as in the paper, less on images under 16 pixels."""
    return min(1.5, 1.5 * size / 16)


def ssim_window(size: int) -> int:
    """Side in pixels of the window, which torchmetrics derives from `ssim_sigma`: 11, and 7 at 8 pixels."""
    return 2 * int(3.5 * ssim_sigma(size) + 0.5) + 1


def ssim(images: Tensor, reconstruction: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004, eq. 13) with K1 = 0.01 and K2 = 0.03.

    Mean over the channels and over the windows that lie wholly inside the image, as in the paper.

    Args:
        images: Shape (N, C, S, S) in [-1, 1], S >= 8.
        reconstruction: The same shape.

    Returns:
        At most 1, float64, shape (N,).
    """
    size = images.shape[-1]
    similarity: Tensor = structural_similarity_index_measure(
        reconstruction.double(),
        images.double(),
        sigma=ssim_sigma(size),
        data_range=RANGE,
        reduction="none",
        return_full_image=True,
    )[1]
    border = ssim_window(size) // 2
    return similarity[..., border:-border, border:-border].flatten(1).mean(1)


class PSNR(Metric):
    """Mean of the images' `psnr`."""

    def protocol(self) -> dict[str, Any]:
        """The cap."""
        return {"limit": PSNR_LIMIT}

    def pairs(self, pairs: Pairs) -> Sums:
        """Of the images' own figures."""
        return summed(psnr(pairs.real, pairs.reconstruction))

    def result(self, sums: Sums) -> Result:
        """Decibel."""
        return Result({"reconstruction/psnr": mean(sums)})


class SSIM(Metric):
    """Mean of the images' `ssim`.

    Args:
        size: S, side of the images in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def protocol(self) -> dict[str, Any]:
        """The window."""
        return {"window": ssim_window(self.size), "sigma": ssim_sigma(self.size)}

    def pairs(self, pairs: Pairs) -> Sums:
        """Of the images' own figures."""
        return summed(ssim(pairs.real, pairs.reconstruction))

    def result(self, sums: Sums) -> Result:
        """Without unit, at most 1."""
        return Result({"reconstruction/ssim": mean(sums)})
