"""Sharpness as closeness to the real images' statistics: never "more is better", so that noise cannot pass for detail.

Notation: X is an image channel of S x S pixels in [-1, 1], b a radial frequency band, q the variance of the
rounding of a pixel to 8 bits. The rounding is the floor of every ratio: adding q to both sides keeps flat
images finite and differences that no 8-bit image can show out of the figures.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .metric import Metric, Pairs, Result
from .pixels import ROUNDING_VARIANCE
from .sums import Sums

HIGH_FREQUENCY = 0.25
"""Cycles per pixel (half of Nyquist) from which a band counts as high."""

LAPLACIAN_GAIN = 20.0
"""Sum of the squared weights of the Laplacian: what it makes of the variance of white noise."""

GRADIENT_GAIN = 2.0
"""The same of the difference of two neighbours."""

EMPTY = 1e-6
"""Share of the rounding's power below which a band holds nothing but the arithmetic's own error."""


def band_index(size: int) -> Tensor:
    """The radial band of each coefficient of `spectrum`: round(S sqrt(fx^2 + fy^2)), in rings one frequency wide.

    Band 0 is the mean; S/2 is Nyquist along an axis; the last, round(S / sqrt 2), is the corner, where a
    checkerboard lies.

    Returns:
        int64, shape (S, S).
    """
    frequency = torch.fft.fftfreq(size, dtype=torch.float64)
    radius: Tensor = (frequency[:, None].square() + frequency[None, :].square()).sqrt()
    return (radius * size).round().long()


def band_frequencies(size: int) -> list[float]:
    """Centre of the bands 1, 2, ... in cycles per pixel; up to 0.71, the corner."""
    return [band / size for band in range(1, int(band_index(size).max()) + 1)]


def band_counts(size: int) -> list[int]:
    """Coefficients of `spectrum` in the bands 1, 2, ..."""
    return torch.bincount(band_index(size).flatten())[1:].tolist()


def spectrum(images: Tensor) -> Tensor:
    """Discrete Fourier transform of each channel under a Hann window, w(i) = sin^2(pi (i + 1/2) / S) on each axis.

    Without a window the jump between opposite edges spreads the low frequencies of a smooth image over all
    bands, which hides blur and feigns coherence. The channel's mean under the window is taken off first. The
    scale is such that white noise of variance v has the power |F|^2 = v at each frequency.

    Args:
        images: Shape (N, C, S, S).

    Returns:
        Complex double, shape (N, C, S, S).
    """
    images = images.double()
    size = images.shape[-1]
    places = torch.arange(size, dtype=torch.float64, device=images.device)
    axis = torch.sin(math.pi * (places + 0.5) / size).square()
    window = axis[:, None] * axis[None, :]
    mean = (images * window).sum((-2, -1), keepdim=True) / window.sum()
    transform: Tensor = torch.fft.fft2((images - mean) * window)
    return transform / window.square().sum().sqrt()


def band_means(values: Tensor) -> Tensor:
    """Mean over images, channels and each band's coefficients.

    Args:
        values: Shape (N, C, S, S), of `spectrum`'s layout.

    Returns:
        float64 on the CPU, shape (bands,), without band 0.
    """
    plane = values.mean((0, 1)).cpu()
    index = band_index(values.shape[-1]).flatten()
    return (torch.bincount(index, plane.flatten()) / torch.bincount(index))[1:]


def laplacian(images: Tensor) -> Tensor:
    """Sum of the four neighbours less four times the pixel, where all four exist: (N, C, S - 2, S - 2)."""
    middle = images[..., 1:-1, 1:-1]
    vertical = images[..., :-2, 1:-1] + images[..., 2:, 1:-1]
    horizontal = images[..., 1:-1, :-2] + images[..., 1:-1, 2:]
    return vertical + horizontal - 4 * middle


def gradients(images: Tensor) -> Tensor:
    """Differences of horizontal and of vertical neighbours, shape (N, values)."""
    return torch.cat([images.diff(dim=-1).flatten(1), images.diff(dim=-2).flatten(1)], dim=1)


@dataclass(frozen=True)
class Statistics:
    """What a set of images is like; all figures are over the whole set, not means of the images' own."""

    laplacian_variance: float
    """Of all values of `laplacian`."""
    gradient_variance: float
    """Of all values of `gradients`."""
    gradient_fourth_moment: float
    """Mean fourth power of the gradients' distance from their mean."""
    power: Tensor
    """`band_means` of |F|^2, float64, shape (bands,)."""


def moments(images: Tensor, transform: Tensor) -> Sums:
    """What `statistics` needs of images (N, C, S, S) and their `spectrum`."""
    curvature, slope = laplacian(images.double()), gradients(images.double())
    return {
        "images": len(images),
        "laplacian": _power_sums(curvature, 2),
        "laplacian_values": curvature.numel(),
        "gradient": _power_sums(slope, 4),
        "gradient_values": slope.numel(),
        "power": len(images) * band_means(transform.abs().square()),
    }


def statistics(sums: Sums) -> Statistics:
    """Of all images whose `moments` were added."""
    curvature, curvature_square = (sums["laplacian"] / sums["laplacian_values"]).tolist()
    mean, square, cube, fourth = (sums["gradient"] / sums["gradient_values"]).tolist()
    return Statistics(
        laplacian_variance=max(curvature_square - curvature**2, 0.0),
        gradient_variance=max(square - mean**2, 0.0),
        gradient_fourth_moment=max(fourth - 4 * mean * cube + 6 * mean**2 * square - 3 * mean**4, 0.0),
        power=sums["power"] / sums["images"],
    )


def laplacian_gap(real: Statistics, other: Statistics) -> float:
    """|log((v' + 20 q) / (v + 20 q))| for the variances v, v' of the Laplacian; 0 is as sharp as the real images.

    The variance alone (Pech-Pacheco et al. 2000) grows with noise; its distance from the real images' does not
    take noise for sharpness.
    """
    floor = LAPLACIAN_GAIN * ROUNDING_VARIANCE
    return abs(math.log((other.laplacian_variance + floor) / (real.laplacian_variance + floor)))


def kurtosis(statistics: Statistics) -> float:
    """Kurtosis of the gradients of images to which the rounding is added as Gaussian noise of variance f = 2 q.

    (m4 + 6 f m2 + 3 f^2) / (m2 + f)^2; 3 for Gaussian noise and for flat images, large for clean edges.
    """
    floor = GRADIENT_GAIN * ROUNDING_VARIANCE
    second, fourth = statistics.gradient_variance, statistics.gradient_fourth_moment
    return (fourth + 6 * floor * second + 3 * floor**2) / (second + floor) ** 2


def kurtosis_gap(real: Statistics, other: Statistics) -> float:
    """|log(k' / k)| for the `kurtosis` k, k' of the gradients; 0 is edges as sparse as the real images'."""
    return abs(math.log(kurtosis(other) / kurtosis(real)))


def log_power_error(real: Tensor, other: Tensor) -> Tensor:
    """log((P' + q) / (P + q)) of each band's power: below 0 detail is missing (blur), above 0 there is too much."""
    return ((other + ROUNDING_VARIANCE) / (real + ROUNDING_VARIANCE)).log()


def spectrum_error(real: Tensor, other: Tensor) -> float:
    """Root mean square of `log_power_error` over all bands, corners included (log-spectral distance, in nats)."""
    return log_power_error(real, other).square().mean().sqrt().item()


def coherence(cross: Tensor, real: Tensor, other: Tensor) -> Tensor:
    """Share of a band that is the right detail at the right place: Re <F* F'> / sqrt(<|F|^2> <|F'|^2>).

    The means run over the images, channels and coefficients of a band. Noise, however much, adds nothing to the
    numerator; a gain, however large, leaves the quotient as it is.

    Args:
        cross: Re <F* F'> of real and other, shape (bands,).
        real: Power <|F|^2>, the same shape.
        other: Power <|F'|^2>, the same shape.

    Returns:
        From -1 to 1, the same shape; a band that is empty (flat) in both is 1, in one alone 0.
    """
    empty = EMPTY * ROUNDING_VARIANCE
    void, void_other = real < empty, other < empty
    quotient = cross / (real * other).sqrt()
    return torch.where(void | void_other, (void & void_other).to(cross), quotient)


def high_band_mean(values: Tensor, frequencies: list[float]) -> float:
    """Mean of the bands from `HIGH_FREQUENCY` to the corner, each band alike."""
    high = torch.tensor(frequencies, dtype=torch.float64) >= HIGH_FREQUENCY
    return values[high].mean().item()


class Sharpness(Metric):
    """Statistics of real images, of their reconstructions and of samples, and how far apart they are.

    Args:
        size: S, side of the images in pixels.
    """

    uses_samples = True

    def __init__(self, size: int) -> None:
        self.size = size

    def protocol(self) -> dict[str, Any]:
        """The same for all images."""
        return PROTOCOL

    def pairs(self, pairs: Pairs) -> Sums:
        """Moments of both, and their cross-spectrum."""
        real, reconstruction = spectrum(pairs.real), spectrum(pairs.reconstruction)
        return {
            "real": moments(pairs.real, real),
            "reconstruction": moments(pairs.reconstruction, reconstruction),
            "cross": len(pairs.real) * band_means((real.conj() * reconstruction).real),
        }

    def samples(self, images: Tensor, start: int) -> Sums:
        """Moments, wherever an image stands."""
        return {"sample": moments(images, spectrum(images))}

    def result(self, sums: Sums) -> Result:
        """Distances from the real images, and the curves behind them."""
        frequencies = band_frequencies(self.size)
        real, reconstruction = statistics(sums["real"]), statistics(sums["reconstruction"])
        match = coherence(sums["cross"] / sums["real"]["images"], real.power, reconstruction.power)
        metrics = {
            **_distances("reconstruction", real, reconstruction),
            "reconstruction/coherence": high_band_mean(match, frequencies),
        }
        curves = {"frequency": frequencies, "power/real": real.power.tolist()}
        curves |= _curves("reconstruction", real, reconstruction)
        curves["coherence/reconstruction"] = match.tolist()
        if "sample" in sums:
            sample = statistics(sums["sample"])
            metrics |= _distances("sample", real, sample)
            curves |= _curves("sample", real, sample)
        return Result(metrics, curves)


PROTOCOL = {
    "window": "hann",
    "bands": "rings of 1 / size cycles per pixel, corners included",
    "high_frequency": HIGH_FREQUENCY,
    "floor": "variance of rounding to 8 bits",
    "logarithm": "natural",
}
"""The choices of this file, as recorded beside its figures."""


def _distances(name: str, real: Statistics, other: Statistics) -> dict[str, float]:
    return {
        f"{name}/laplacian_gap": laplacian_gap(real, other),
        f"{name}/spectrum_error": spectrum_error(real.power, other.power),
        f"{name}/kurtosis_gap": kurtosis_gap(real, other),
    }


def _curves(name: str, real: Statistics, other: Statistics) -> dict[str, list[float]]:
    return {
        f"power/{name}": other.power.tolist(),
        f"spectrum_error/{name}": log_power_error(real.power, other.power).tolist(),
    }


def _power_sums(values: Tensor, powers: int) -> Tensor:
    return torch.stack([values.pow(power).sum() for power in range(1, powers + 1)]).cpu()
