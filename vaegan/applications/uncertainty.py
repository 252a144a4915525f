"""Uncertainty of a model's pixels: their spread over the posterior, their predictive distribution, its calibration.

The predictive distribution of each value of an image x is the even mixture of p(x | z_k) over K draws z_k of its
posterior q(z | x), with the likelihood and the scale that the model was trained with.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from vaegan.config.objectives import ELBOConfig
from vaegan.errors import UserError
from vaegan.losses.discrete_likelihood import HALF_LEVEL
from vaegan.models import Autoencoder, Posterior
from vaegan.models.inputs import Labels
from vaegan.randomness import draw_normal

LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Levels of the central intervals whose coverage is measured: 0.05, 0.1, ... 0.95."""
HALVINGS = 6
"""Halvings of the range in which a quantile of a mixture lies, before it is interpolated."""
WIDTH_VALUES = 1024
"""Values of an image, about, that its mean width of intervals is taken of, evenly spaced; a quantile is slow."""
MAX_SCALE_FACTOR = 32.0
"""Factor up to which a scale that calibrates is searched on either side of the mean error."""
SCALE_TOLERANCE = 0.003
"""Relative error of the scale that is found."""

Distribution: TypeAlias = Callable[[Tensor], Tensor]
"""A function of values, of any shape, element by element."""


@dataclass(frozen=True)
class ObservationModel:
    """p(x | z) of each value of an image around the decoder's output, the same for all values."""

    likelihood: str
    """`gaussian` or `laplace`."""
    scale: float
    """Standard deviation (gaussian) or b (laplace), in units of the pixel range [-1, 1]."""

    @property
    def deviation(self) -> float:
        """Standard deviation in the same units: the scale (gaussian), or sqrt(2) b (laplace)."""
        return self.scale * (math.sqrt(2) if self.likelihood == "laplace" else 1)

    def cdf(self, distances: Tensor) -> Tensor:
        """Return P(x - G(z) <= distance) of each distance, of any shape, in units of the pixel range [-1, 1]."""
        return CDF[self.likelihood](distances / self.scale)

    def quantile(self, probability: float) -> float:
        """Return the distance from the decoder's output that a value stays below with a probability."""
        return self.scale * QUANTILE[self.likelihood](torch.tensor(probability, dtype=torch.float64)).item()


@dataclass(frozen=True)
class PixelPrediction:
    """The predictive distribution of each value of N images, as a mixture over K draws of their posteriors."""

    decoded: Tensor
    """Decoded draws G(z_k), shape (K, N, C, S, S)."""
    noise: ObservationModel | None
    """p(x | z); None: the model has none, and there is a spread, but no distribution of values."""

    @property
    def mean(self) -> Tensor:
        """Mean of the decoded draws, shape (N, C, S, S)."""
        return self.decoded.mean(0)

    @property
    def spread(self) -> Tensor:
        """Standard deviation of the K decoded draws, which is 0 of a single one, shape (N, C, S, S)."""
        return self.decoded.std(0, correction=0)

    @property
    def total(self) -> Tensor:
        """Standard deviation of the mixture, sqrt(spread^2 + that of p(x | z)^2), shape (N, C, S, S)."""
        return (self.spread.square() + self._get_noise().deviation ** 2).sqrt()

    def compute_cdf(self, values: Tensor) -> Tensor:
        """Compute the probability that each value of the images is at most ``values``, shape (N, C, S, S), float64."""
        noise, values = self._get_noise(), values.double()
        return _average(noise.cdf(values - decoded.double()) for decoded in self.decoded)

    def compute_quantile(self, probability: float) -> Tensor:
        """Compute the value that each value of the images stays below with a probability, shape (N, C, S, S), float64.

        A quantile of a mixture lies between the smallest and the largest of its parts. This range is halved
        `HALVINGS` times; in what is left, which is short beside the scale, the distribution function is a line.
        """
        distance = self._get_noise().quantile(probability)
        low, high = self.decoded.amin(0).double() + distance, self.decoded.amax(0).double() + distance
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = self.compute_cdf(middle) < probability
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        start, end = self.compute_cdf(low), self.compute_cdf(high)
        part = ((probability - start) / (end - start)).nan_to_num(0.5).clamp(0, 1)
        return torch.lerp(low, high, part)

    def compute_width(self, level: float) -> Tensor:
        """Compute the width of each central interval that a value lies in with probability ``level``, (N, C, S, S)."""
        return self.compute_quantile((1 + level) / 2) - self.compute_quantile((1 - level) / 2)

    def compute_pit(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute both ends of the probability integral transform of 8-bit pixels.

        A pixel of 8 bits is an interval of real values, those that round to it, open outwards at 0 and 255. Its
        transform is the interval between the predictive distribution function at both ends, instead of a number
        (Czado et al. 2009, section 2.1).

        Args:
            pixels: The images, uint8, shape (N, C, S, S).

        Returns:
            Lower and upper ends in [0, 1], float64, each of shape (N, C, S, S).

        Raises:
            UserError: The model has no scale, or the pixels are not uint8.
        """
        if pixels.dtype != torch.uint8:
            raise UserError(
                f"pixels: {pixels.dtype}; the transform is of 8-bit images, so give uint8, as to_uint8 makes"
            )
        pixels = pixels.to(self.decoded.device)
        values = pixels.double() / 127.5 - 1
        lower, upper = (self.compute_cdf(values + side * HALF_LEVEL) for side in (-1, 1))
        return torch.where(pixels == 0, 0.0, lower), torch.where(pixels == 255, 1.0, upper)

    def _get_noise(self) -> ObservationModel:
        if self.noise is None:
            raise UserError("this model has no scale of p(x | z), and without it there is a spread but no distribution")
        return self.noise


def get_observation_model(model: Autoencoder) -> ObservationModel | None:
    """Return p(x | z) of a model, with the scale that it has learned; None: it has no distribution of grey values."""
    config = model.trained_config
    if isinstance(config, ELBOConfig) and config.likelihood in CDF:
        return ObservationModel(config.likelihood, config.scale)
    return None


def check_can_be_uncertain(model: Autoencoder, posterior: Posterior) -> None:
    """Check that a model has a posterior with a variance, or a scale: something to be uncertain by.

    Raises:
        UserError: Its codes are points, and it has no scale.
    """
    if get_observation_model(model) is None and not posterior.log_variance.isfinite().any():
        raise UserError(
            "this model's code of an image is a point, and its decoder has no scale: it cannot tell how sure it is;"
            " use a run of the family vae or vaegan"
        )


@torch.no_grad()
def predict_pixels(
    model: Autoencoder, posterior: Posterior, noise: Iterable[Tensor], labels: Labels = None
) -> PixelPrediction:
    """Return the predictive distribution of each value of the images that were encoded.

    Args:
        model: Model in evaluation mode.
        posterior: Posterior of N images, as `Autoencoder.encode` returns it.
        noise: Standard normal noise of each draw: K tensors of shape (N, d), or (d,) for all images.
        labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.
    """
    mean = posterior.mean
    codes = [posterior.sample(each.to(mean).expand_as(mean)) for each in noise]
    return PixelPrediction(torch.stack([model.decode(each, labels) for each in codes]), get_observation_model(model))


def draw_shared_noise(size: int, draws: int, seed: int) -> list[Tensor]:
    """Draw the noise of ``draws`` codes of ``size`` dimensions, each of shape (d,), a function of the seed and k.

    It is the same for every image, so that an image's spread depends on no other image of a call.
    """
    return [draw_normal((size,), seed, "uncertainty", draw) for draw in range(draws)]


def compute_coverage(lower: Tensor, upper: Tensor, levels: Iterable[float] = LEVELS) -> Tensor:
    """Compute how many of each image's values lie inside their central intervals of each level.

    A pixel whose transform lies partly inside [(1 - level) / 2, (1 + level) / 2] counts as the part: the expectation
    over a transform that is drawn evenly between both ends, which is uniform under the predictive distribution
    (Czado et al. 2009, eq. 2).

    Args:
        lower: Lower ends of `PixelPrediction.compute_pit`, shape (N, ...).
        upper: Upper ends, the same shape.
        levels: Probabilities L.

    Returns:
        Fractions in [0, 1], float64, shape (N, L).
    """
    length = (upper - lower).flatten(1)
    columns = []
    for level in levels:
        inside = upper.clamp(max=(1 + level) / 2) - lower.clamp(min=(1 - level) / 2)
        inside = inside.flatten(1)
        parts = torch.where(length > 0, inside.clamp_min(0) / length, inside >= 0)  # no length: a point
        columns.append(parts.double().mean(1))
    return torch.stack(columns, 1)


def compute_mean_widths(prediction: PixelPrediction, level: float) -> Tensor:
    """Compute the mean width of each image's central intervals of a level, over about `WIDTH_VALUES` of its values.

    Args:
        prediction: Predictive distribution of N images.
        level: Probability.

    Returns:
        Widths in units of the pixel range [-1, 1], float64, shape (N,).
    """
    values = prediction.decoded.flatten(2)
    stride = values.shape[2] // WIDTH_VALUES | 1  # odd, so that it goes through all columns of an image
    return PixelPrediction(values[..., ::stride], prediction.noise).compute_width(level).mean(1)


def compute_calibration_error(coverage: Tensor, levels: Iterable[float] = LEVELS) -> Tensor:
    """Compute the expected calibration error: the mean over the levels of |coverage - level| (Kuleshov et al. 2018).

    They square the differences (eq. 9); without it the error has the unit of a coverage.

    Args:
        coverage: Fractions of all values inside their intervals, shape (..., L).
        levels: Probabilities L.

    Returns:
        Errors in [0, 1], shape (...).
    """
    return (coverage - torch.tensor(list(levels)).to(coverage)).abs().mean(-1)


def calibrate_scale(pixels: Tensor, prediction: PixelPrediction) -> float:
    """Return the scale of p(x | z) for which the calibration error of images is least.

    The decoded draws stay as they are. One scale moves the width of all intervals alike; what is wrong with the shape
    of the distribution, or with where it is wide, remains.

    Args:
        pixels: Images that the model was not trained on, uint8, shape (N, C, S, S).
        prediction: Their predictive distribution.

    Raises:
        UserError: The model has no scale.
    """
    from scipy.optimize import minimize_scalar

    likelihood = prediction._get_noise().likelihood
    errors = pixels.to(prediction.decoded.device).double() / 127.5 - 1 - prediction.mean
    middle = math.log(errors.abs().mean().clamp_min(HALF_LEVEL).item())

    def compute_error(log_scale: float) -> float:
        scaled = PixelPrediction(prediction.decoded, ObservationModel(likelihood, math.exp(log_scale)))
        return compute_calibration_error(compute_coverage(*scaled.compute_pit(pixels)).mean(0)).item()

    reach = math.log(MAX_SCALE_FACTOR)
    bounds, options = (middle - reach, middle + reach), {"xatol": SCALE_TOLERANCE}
    found = minimize_scalar(compute_error, bounds=bounds, method="bounded", options=options)
    return math.exp(found.x)


def _gaussian_cdf(values: Tensor) -> Tensor:
    return 0.5 * torch.erfc(-math.sqrt(0.5) * values)  # a third of the time of torch.special.ndtr


def _laplace_cdf(values: Tensor) -> Tensor:
    tail = 0.5 * (-values.abs()).exp()
    return torch.where(values < 0, tail, 1 - tail)


def _laplace_quantile(probability: Tensor) -> Tensor:
    return -(probability - 0.5).sign() * (1 - 2 * (probability - 0.5).abs()).log()


def _average(values: Iterable[Tensor]) -> Tensor:
    total, count = torch.zeros(()), 0
    for value in values:
        total, count = value if not count else total.add_(value), count + 1
    return total / count


CDF: dict[str, Distribution] = {"gaussian": _gaussian_cdf, "laplace": _laplace_cdf}
"""Distribution function with scale 1 of each `model.likelihood` that has a scale."""
QUANTILE: dict[str, Distribution] = {"gaussian": torch.special.ndtri, "laplace": _laplace_quantile}
"""Their inverses."""
