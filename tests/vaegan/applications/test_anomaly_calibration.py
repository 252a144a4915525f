"""p-values of exchangeable scores are uniform, and the threshold flags as many normal images as it was given."""

import math

import pytest
import torch

from vaegan.applications.anomaly_calibration import fit_conformal_detector
from vaegan.errors import UserError
from vaegan.randomness import draw_normal


def test_p_values_are_counts_of_the_definition() -> None:
    normal, scores = draw_normal((40,), 0, "n").round(decimals=1), draw_normal((25,), 1, "s").round(decimals=1)
    expected = [(1 + int((normal.double() >= score.double()).sum())) / 41 for score in scores]
    assert fit_conformal_detector(normal).compute_p_values(scores).tolist() == expected
    assert {score.item() for score in scores} & {score.item() for score in normal}, "some are equal"


def test_p_values_of_exchangeable_scores_are_uniform() -> None:
    """Of one score beside n others, each of the n + 1 p-values k / (n + 1) is equally likely."""
    count, repeats = 9, 4000
    draws = draw_normal((repeats, count + 1), 0, "exchangeable")
    p = torch.stack([fit_conformal_detector(row[1:]).compute_p_values(row[:1]) for row in draws]).flatten()
    frequencies = (p * (count + 1)).round().long().bincount(minlength=count + 2)[1:] / repeats
    assert (frequencies - 0.1).abs().max() < 5 * math.sqrt(0.09 / repeats)
    ties = torch.stack([fit_conformal_detector(row[1:]).compute_p_values(row[:1]) for row in draws.round()]).flatten()
    for rate in (0.1, 0.3, 0.5):
        assert (ties <= rate).double().mean() <= rate + 5 * math.sqrt(0.25 / repeats), "never too many"


@pytest.mark.parametrize("count", [19, 99, 180])
@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5, 0.95])
def test_above_the_threshold_are_the_p_values_up_to_the_rate(count: int, rate: float) -> None:
    calibration = fit_conformal_detector(draw_normal((count,), 0, "n").round(decimals=1))
    scores = torch.cat([draw_normal((500,), 1, "s").round(decimals=1).double(), calibration.scores])
    p = calibration.compute_p_values(scores)
    assert torch.equal(scores > calibration.compute_threshold(rate), p <= rate)
    assert (p <= rate).any() and (p > rate).any()


def test_few_images_allow_no_small_rate() -> None:
    assert math.isfinite(fit_conformal_detector(torch.arange(19.0)).compute_threshold(0.05))
    with pytest.raises(UserError, match=r"0\.05 needs 19 normal images, not 18"):
        fit_conformal_detector(torch.arange(18.0)).compute_threshold(0.05)
    with pytest.raises(UserError, match="no normal image"):
        fit_conformal_detector(torch.empty(0))
