"""Sharpness as closeness to the real images' statistics: never "more is better", so that noise cannot pass for detail.

Notation: X is an image channel of S x S pixels in [-1, 1], b a radial frequency band, q the variance of the
rounding of a pixel to 8 bits. The rounding is the floor of every ratio: adding q to both sides keeps flat
images finite and keeps differences that no 8-bit image can show out of the metrics.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaegan.images import lay_on_white

from .metric import ImagePairs, Metric, MetricResult, Sums, concatenate_in_order, make_rows
from .pixels import ROUNDING_VARIANCE

HIGH_FREQUENCY_CYCLES_PER_PIXEL = 0.25
"""Lowest frequency of a high band in cycles per pixel, half of Nyquist."""

LAPLACIAN_GAIN = 20.0
"""Sum of the squared weights of the Laplacian, by which it multiplies the variance of white noise."""

GRADIENT_GAIN = 2.0
"""Sum of the squared weights of the difference of two neighbours."""

EMPTY_BAND_FRACTION = 1e-6
"""Fraction of the rounding's power below which a band holds nothing but the error of the arithmetic."""


def band_index(size: int) -> Tensor:
    """Return the radial band of each coefficient of `spectrum`: round(S sqrt(fx^2 + fy^2)), rings one frequency wide.

    Band 0 is the mean; S/2 is Nyquist along an axis; the last, round(S / sqrt 2), is the corner, where a
    checkerboard has its power.

    Returns:
        int64, shape (S, S).
    """
    frequency = torch.fft.fftfreq(size, dtype=torch.float64)
    radius: Tensor = (frequency[:, None].square() + frequency[None, :].square()).sqrt()
    return (radius * size).round().long()


def count_bands(size: int) -> int:
    """Return the number of the bands of `band_index`, with band 0."""
    return round(math.sqrt(2) * (size // 2)) + 1


def band_frequencies(size: int) -> list[float]:
    """Return the centre of the bands 1, 2, ... in cycles per pixel; up to 0.71, the corner."""
    return [band / size for band in range(1, count_bands(size))]


def spectrum(images: Tensor) -> Tensor:
    """Compute the Fourier transform of each channel under a Hann window, w(i) = sin^2(pi (i + 1/2) / S) on each axis.

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
    pixels = torch.arange(size, dtype=torch.float64, device=images.device)
    axis = torch.sin(math.pi * (pixels + 0.5) / size).square()
    window = axis[:, None] * axis[None, :]
    mean = (images * window).sum((-2, -1), keepdim=True) / window.sum()
    transform: Tensor = torch.fft.fft2((images - mean) * window)
    return transform / window.square().sum().sqrt()


def band_means(values: Tensor) -> Tensor:
    """Compute the mean over channels and each band's coefficients.

    Args:
        values: Shape (N, C, S, S), of `spectrum`'s layout.

    Returns:
        float64, shape (N, bands), without band 0.
    """
    plane = values.mean(1).flatten(1)
    index = band_index(values.shape[-1]).flatten().to(plane.device)
    # A row of ones is summed as well: the number of each band's coefficients.
    rows = torch.cat([plane, plane.new_ones(1, len(index))])
    sums = rows.new_zeros(len(rows), count_bands(values.shape[-1])).index_add_(1, index, rows)
    return (sums[:-1] / sums[-1])[:, 1:]


def laplacian(images: Tensor) -> Tensor:
    """Compute the sum of the four neighbours less four times the pixel, where all four exist: (N, C, S - 2, S - 2)."""
    middle = images[..., 1:-1, 1:-1]
    vertical = images[..., :-2, 1:-1] + images[..., 2:, 1:-1]
    horizontal = images[..., 1:-1, :-2] + images[..., 1:-1, 2:]
    return vertical + horizontal - 4 * middle


def gradients(images: Tensor) -> Tensor:
    """Compute the differences of horizontal and of vertical neighbours, shape (N, values)."""
    return torch.cat([images.diff(dim=-1).flatten(1), images.diff(dim=-2).flatten(1)], dim=1)


@dataclass(frozen=True)
class Statistics:
    """Statistics of sets of images, each over a whole set and not a mean of the images' own.

    Each has a shape (...) for any number of sets, the power a shape (..., bands).
    """

    laplacian_variance: Tensor
    """Variance of all values of `laplacian`."""
    gradient_variance: Tensor
    """Variance of all values of `gradients`."""
    gradient_fourth_moment: Tensor
    """Mean fourth power of the gradients' distance from their mean."""
    power: Tensor
    """Mean of |F|^2 in each band."""


def compute_image_moments(images: Tensor, transform: Tensor) -> Tensor:
    """Compute the moments of each image, whose mean over the images gives the statistics of a set.

    Args:
        images: Shape (N, C, S, S).
        transform: Their `spectrum`.

    Returns:
        Mean powers 1 and 2 of the Laplacian, 1 to 4 of the gradients, and the power of the bands: float64, shape
        (N, 6 + bands).
    """
    curvature, slope = laplacian(images.double()).flatten(1), gradients(images.double())
    powers = [curvature, curvature.square(), *(slope.pow(power) for power in range(1, 5))]
    means = torch.stack([values.mean(1) for values in powers], dim=1)
    return torch.cat([means, band_means(transform.abs().square())], dim=1)


def compute_statistics(means: Tensor) -> Statistics:
    """Compute the statistics of sets of images from their mean `compute_image_moments`, shape (..., 6 + bands)."""
    curvature, curvature_square, mean, square, cube, fourth = means[..., :6].unbind(-1)
    return Statistics(
        laplacian_variance=(curvature_square - curvature**2).clamp_min(0),
        gradient_variance=(square - mean**2).clamp_min(0),
        gradient_fourth_moment=(fourth - 4 * mean * cube + 6 * mean**2 * square - 3 * mean**4).clamp_min(0),
        power=means[..., 6:],
    )


def laplacian_gap(real: Statistics, other: Statistics) -> Tensor:
    """Compute |log((v' + 20 q) / (v + 20 q))| for the variances v, v' of the Laplacian; 0 is as sharp as real images.

    The variance alone (Pech-Pacheco et al. 2000) grows with noise; its distance from the real images' does not
    take noise for sharpness.
    """
    floor = LAPLACIAN_GAIN * ROUNDING_VARIANCE
    return ((other.laplacian_variance + floor) / (real.laplacian_variance + floor)).log().abs()


def kurtosis(statistics: Statistics) -> Tensor:
    """Compute the kurtosis of gradients to which the rounding is added as Gaussian noise of variance f = 2 q.

    (m4 + 6 f m2 + 3 f^2) / (m2 + f)^2; 3 for Gaussian noise and for flat images, large for clean edges.
    """
    floor = GRADIENT_GAIN * ROUNDING_VARIANCE
    second, fourth = statistics.gradient_variance, statistics.gradient_fourth_moment
    return (fourth + 6 * floor * second + 3 * floor**2) / (second + floor) ** 2


def kurtosis_gap(real: Statistics, other: Statistics) -> Tensor:
    """Compute |log(k' / k)| for the `kurtosis` k, k' of the gradients; 0 is edges as sparse as the real images'."""
    return (kurtosis(other) / kurtosis(real)).log().abs()


def log_power_error(real: Tensor, other: Tensor) -> Tensor:
    """Compute log((P' + q) / (P + q)) of each band's power, shape (..., bands).

    Below 0 detail is missing (blur), above 0 there is too much.
    """
    return ((other + ROUNDING_VARIANCE) / (real + ROUNDING_VARIANCE)).log()


def spectrum_error(real: Tensor, other: Tensor) -> Tensor:
    """Compute the log-spectral distance in nats: the root mean square of `log_power_error` over all bands."""
    return log_power_error(real, other).square().mean(-1).sqrt()


def coherence(cross: Tensor, real: Tensor, other: Tensor) -> Tensor:
    """Compute the Fourier ring correlation of two sets of images in each band: Re <F* F'> / sqrt(<|F|^2> <|F'|^2>).

    The means run over the images, channels and coefficients of a band. Noise, however much, adds nothing to the
    numerator; a gain, however large, leaves the quotient as it is.

    Args:
        cross: Re <F* F'> of real and other, shape (bands,).
        real: Power <|F|^2>, shape (bands,).
        other: Power <|F'|^2>, shape (bands,).

    Returns:
        From -1 to 1, float64, shape (bands,); a band that is empty (flat) in both is 1, in one alone 0.
    """
    empty = EMPTY_BAND_FRACTION * ROUNDING_VARIANCE
    is_empty, other_is_empty = real < empty, other < empty
    quotient = cross / (real * other).sqrt()
    return torch.where(is_empty | other_is_empty, (is_empty & other_is_empty).to(cross), quotient)


def high_band_mean(values: Tensor, size: int) -> Tensor:
    """Compute the mean of the bands from `HIGH_FREQUENCY_CYCLES_PER_PIXEL` to the corner, each with the same weight.

    Args:
        values: Shape (..., bands).
        size: S, side of the images in pixels.

    Returns:
        Shape (...).
    """
    high = torch.tensor(band_frequencies(size), dtype=torch.float64) >= HIGH_FREQUENCY_CYCLES_PER_PIXEL
    return values[..., high].mean(-1)


def compute_distances(real: Statistics, other: Statistics) -> dict[str, Tensor]:
    """Compute the sharpness metrics of a set of images, by name; each is 0 where the set is like the real one."""
    return {
        "laplacian_gap": laplacian_gap(real, other),
        "spectrum_error": spectrum_error(real.power, other.power),
        "kurtosis_gap": kurtosis_gap(real, other),
    }


class Sharpness(Metric[ImagePairs]):
    """Statistics of real images, of their reconstructions and of samples, and how far apart they are.

    Args:
        size: S, side of the images in pixels.
    """

    uses_samples = True

    def __init__(self, size: int) -> None:
        self.size = size
        self.protocol = {
            "window": "hann",
            "bands": "rings of 1 / size cycles per pixel, corners included",
            "high_frequency": HIGH_FREQUENCY_CYCLES_PER_PIXEL,
            "floor": "variance of rounding to 8 bits",
            "logarithm": "natural",
        }

    def measure_pairs(self, pairs: ImagePairs) -> Sums:
        """Return the moments of real images and reconstructions, and the cross-spectrum of each pair."""
        real, reconstruction = map(spectrum, pairs.seen)
        moments = {
            "real": compute_image_moments(pairs.seen[0], real),
            "reconstruction": compute_image_moments(pairs.seen[1], reconstruction),
            "cross": band_means((real.conj() * reconstruction).real),
        }
        return {name: make_rows(pairs.start, values) for name, values in moments.items()}

    def measure_set(self, name: str, images: Tensor, start: int) -> Sums:
        """Return the moments of the images of a set."""
        images = lay_on_white(images)
        return {name: make_rows(start, compute_image_moments(images, spectrum(images)))}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the distances from the real images, and the spectra behind them; coherence is that of the pairs."""
        scores = {name: concatenate_in_order(parts) for name, parts in sums.items()}
        means = {name: values.mean(0) for name, values in scores.items()}
        real = compute_statistics(means["real"])
        curves = {"frequency": band_frequencies(self.size), "power/real": real.power.tolist()}
        metrics: dict[str, float] = {}
        for name in [name for name in ("reconstruction", "sample") if name in means]:
            other = compute_statistics(means[name])
            metrics |= {f"{name}/{metric}": value.item() for metric, value in compute_distances(real, other).items()}
            curves[f"power/{name}"] = other.power.tolist()
            curves[f"spectrum_error/{name}"] = log_power_error(real.power, other.power).tolist()
        if "cross" in means:
            pairs = len(scores["cross"])
            powers = [compute_statistics(scores[name][:pairs].mean(0)).power for name in ("real", "reconstruction")]
            match = coherence(means["cross"], *powers)
            metrics["reconstruction/coherence"] = high_band_mean(match, self.size).item()
            curves["coherence/reconstruction"] = match.tolist()
        return MetricResult(metrics, curves, scores={f"sharpness/{name}": values for name, values in scores.items()})
