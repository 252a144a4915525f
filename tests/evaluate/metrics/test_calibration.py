"""The metric of calibration measures what the mathematics says, of each image by itself, and a study compares it."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from vaegan.applications.uncertainty import LEVELS, ObservationModel, PixelPrediction, compute_coverage
from vaegan.config.models import VAEConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.evaluate.comparing.bootstrap import estimate
from vaegan.evaluate.comparing.evidence import compare_calibration
from vaegan.evaluate.comparing.verdicts import estimate_effects
from vaegan.evaluate.metrics import calibration
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.evaluate.result import EvaluationResult
from vaegan.images import to_uint8
from vaegan.models import AE, VAE
from vaegan.randomness import draw_normal

from ..distortions import evaluate, to_split

SCALE = 0.2


def make_noisy(count: int, scale: float = SCALE, mean: float = 0.1) -> Tensor:
    """Make 8-bit images of independent values from N(mean, scale^2)."""
    return to_uint8(mean + scale * draw_normal((count, 1, 8, 8), 0, "values"))


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5])
def test_error_and_width_are_those_of_the_closed_form(factor: float) -> None:
    """The decoder's image is the mean of all; its scale is the true one, or a multiple of it."""
    pixels = make_noisy(400)
    result = evaluate(
        pixels, lambda images: torch.full_like(images, 0.1), "calibration", log_variance=-30.0, scale=factor * SCALE
    )
    ends = scipy.stats.norm.ppf((1 + np.array(LEVELS)) / 2)
    coverage = 2 * scipy.stats.norm.cdf(factor * ends) - 1
    assert result.curves["calibration/level"] == list(LEVELS)
    assert result.curves["calibration/coverage"] == pytest.approx(coverage, abs=0.005)
    assert result.metrics["calibration/ece"] == pytest.approx(np.abs(coverage - LEVELS).mean(), abs=0.004)
    width = 2 * scipy.stats.norm.ppf(0.95) * factor * SCALE
    assert result.metrics["calibration/width"] == pytest.approx(width, rel=1e-4)
    assert (result.metrics["calibration/ece"] > 0.05) == (factor != 1)


def test_an_image_counts_by_the_fractions_of_its_own_values(digits: Tensor) -> None:
    """As the functions say of the draws that the metric takes, whatever the batch."""
    model = VAE(VAEConfig(network="mlp", width=16, latent_size=4, scale=0.3), (1, 8, 8), 0).double()
    pixels = digits[:30]
    results = [
        evaluate_model(model, to_split(pixels), EvaluateConfig(metrics=("calibration",), batch_size=size), seed=seed)
        for size, seed in ((7, 2), (30, 2), (30, 3))
    ]
    for name in ("calibration/coverage", "calibration/width"):
        torch.testing.assert_close(results[0].scores[name], results[1].scores[name], rtol=1e-12, atol=1e-12)
        assert not torch.allclose(results[1].scores[name], results[2].scores[name], rtol=1e-9)
    with torch.no_grad():
        posterior = model.encode(pixels[[11]])
        noise = [draw_normal((4,), 2, "calibration", draw, 11).double() for draw in range(calibration.DRAWS)]
        decoded = torch.stack([model.decode(posterior.sample(each[None])) for each in noise])
    prediction = PixelPrediction(decoded, ObservationModel("gaussian", 0.3))
    expected = compute_coverage(*prediction.compute_pit(pixels[[11]]))[0]
    torch.testing.assert_close(results[0].scores["calibration/coverage"][11], expected)


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_a_learned_scale_is_the_one_that_counts(likelihood: str, digits: Tensor) -> None:
    sizes = {"network": "mlp", "width": 16, "latent_size": 4, "likelihood": likelihood}
    model = VAE(VAEConfig(**sizes, scale=0.9, learned_scale=True), (1, 8, 8), 0).double()
    torch.nn.init.constant_(model.scale.logarithm, math.log(0.3))
    scale = model.scale().item()
    settings = EvaluateConfig(metrics=("calibration",))
    same = VAE(VAEConfig(**sizes, scale=scale), (1, 8, 8), 0).double()
    result, expected = (evaluate_model(each, to_split(digits[:20]), settings, seed=0) for each in (model, same))
    assert result.metrics == expected.metrics
    protocol = result.protocol["calibration"]
    assert protocol == expected.protocol["calibration"] | {"learned_scale": True}
    assert protocol["posterior_samples"] == calibration.DRAWS and protocol["scale"] == scale


def test_families_without_a_distribution_of_pixels_have_no_calibration(digits: Tensor) -> None:
    sizes = {"network": "mlp", "width": 16, "latent_size": 4}
    settings = EvaluateConfig(metrics=("psnr", "calibration"))
    for model in (VAE(image_shape=(1, 8, 8), likelihood="bernoulli", **sizes), AE(image_shape=(1, 8, 8), **sizes)):
        result = evaluate_model(model, to_split(digits[:20]), settings, seed=0)
        assert result.metrics.keys() == {"reconstruction/psnr"} and "calibration" not in result.protocol


def test_a_study_compares_the_errors_and_not_the_errors_of_images() -> None:
    """An image that is covered too much makes up for one that is covered too little."""
    draws = 0.1 * draw_normal((300, len(LEVELS)), 0, "coverage").double()
    levels = torch.tensor(LEVELS).double()
    shifts = {"good": 0.0, "sure": -0.1}
    results = {
        name: {5: EvaluationResult({}, {}, scores={"calibration/coverage": levels + shift + draws})}
        for name, shift in shifts.items()
    }
    difference = compare_calibration(results["sure"], results["good"])
    errors = {name: (draws.mean(0) + shift).abs().mean().item() for name, shift in shifts.items()}
    assert difference.value == pytest.approx(errors["sure"] - errors["good"])
    assert difference.low < difference.value < difference.high and difference.low > 0.05
    (effect,) = estimate_effects(results, [("sure", "good")])
    assert (effect.key, effect.estimate, effect.size) == ("calibration/ece", difference, None)
    seeds = [{"pairs/x": results["sure"][5].scores["calibration/coverage"]}]
    alone = estimate(seeds, lambda means: (means["pairs/x"] - levels).abs().mean(1))
    assert alone.value == pytest.approx(errors["sure"])
