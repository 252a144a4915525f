"""Calibration of the predictive distribution of pixels: how often the true value lies inside its interval."""

from typing import Any

from vaegan.applications.uncertainty import (
    LEVELS,
    WIDTH_VALUES,
    compute_calibration_error,
    compute_coverage,
    compute_mean_widths,
    predict_pixels,
)
from vaegan.config.objectives import ELBOConfig

from .likelihood import get_likelihood_protocol
from .metric import Metric, MetricResult, ModelPairs, Sums, check_finite, concatenate_in_order, make_rows

DRAWS = 16
"""Draws of each image's posterior that its predictive distribution is a mixture of."""
WIDTH_LEVEL = 0.9
"""Level of the intervals whose width is measured."""
COVERAGE, ERROR, WIDTH = "calibration/coverage", "calibration/ece", "calibration/width"
"""Keys of the scores of images and of the curve; of the expected calibration error; of the width."""


class Calibration(Metric[ModelPairs]):
    """Coverage of the central intervals of each value of an image, its distance from their levels, and their width.

    Args:
        config: Config of the model, with the scale that it has learned.
    """

    def __init__(self, config: ELBOConfig) -> None:
        self.protocol: dict[str, Any] = {
            **get_likelihood_protocol(config), "posterior_samples": DRAWS, "levels": list(LEVELS),
            "width_level": WIDTH_LEVEL, "width_values": WIDTH_VALUES,
        }  # fmt: skip

    def measure_pairs(self, pairs: ModelPairs) -> Sums:
        """Return coverages and width of each image; a draw's noise is a function of the seed, the image and k."""
        noise = (pairs.draw_noise("calibration", draw) for draw in range(DRAWS))
        prediction = predict_pixels(pairs.model, pairs.posterior, noise, pairs.labels)
        check_finite(prediction.decoded)
        coverage = compute_coverage(*prediction.compute_pit(pairs.pixels))
        width = compute_mean_widths(prediction, WIDTH_LEVEL)
        return {"coverage": make_rows(pairs.start, coverage), "width": make_rows(pairs.start, width)}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the error of the mean coverages and the mean width, in units of [-1, 1], with the coverage curve."""
        coverage, width = (concatenate_in_order(sums[name]) for name in ("coverage", "width"))
        mean = coverage.mean(0)
        return MetricResult(
            {ERROR: compute_calibration_error(mean).item(), WIDTH: width.mean().item()},
            curves={"calibration/level": list(LEVELS), COVERAGE: mean.tolist()},
            scores={COVERAGE: coverage, WIDTH: width},
        )
