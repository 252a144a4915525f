"""The areas under curves are scikit-learn's, and their parts and intervals are what they are said to be."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from vaegan.applications.detection import compute_areas, compute_auc_components, measure_detection
from vaegan.errors import UserError
from vaegan.randomness import draw_normal


def draw(count: int = 200, shift: float = 0.7, digits: int = 1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return scores with ties, and which images are anomalous."""
    anomalous = torch.arange(count) % 5 == 0
    return (draw_normal((count,), seed, "scores") + shift * anomalous).double().round(decimals=digits), anomalous


@pytest.mark.parametrize("digits", [0, 1, 9])
def test_areas_are_scikit_learns_with_ties_and_weights(digits: int) -> None:
    scores, anomalous = draw(digits=digits)
    weights = torch.randint(0, 4, (3, len(scores)), generator=torch.Generator().manual_seed(1)).double()
    for row, areas in zip(weights, compute_areas(scores, anomalous, weights).T, strict=True):
        for area, expected in zip(areas.tolist(), (roc_auc_score, average_precision_score), strict=True):
            assert area == pytest.approx(expected(anomalous, scores, sample_weight=row), abs=1e-12)
    found = measure_detection(scores, anomalous)
    assert found.roc.value == pytest.approx(roc_auc_score(anomalous, scores), abs=1e-12)
    assert found.pr.value == pytest.approx(average_precision_score(anomalous, scores), abs=1e-12)


def test_intervals_contain_the_true_area_about_as_often_as_they_say() -> None:
    truth = 0.5 * (1 + torch.erf(torch.tensor(0.7) / 2)).item()  # P(N(0.7, 1) > N(0, 1))
    areas = [measure_detection(*draw(digits=9, seed=seed)).roc for seed in range(100)]
    assert 88 <= sum(area.low <= truth <= area.high for area in areas) <= 99
    assert measure_detection(*draw()) == measure_detection(*draw()), "the same each time"


def test_perfect_and_useless_scores_are_1_and_chance() -> None:
    anomalous = torch.arange(50) % 5 == 0
    assert measure_detection(anomalous.double(), anomalous).roc[:] == (1, 1, 1)
    assert measure_detection(torch.zeros(50), anomalous)[:] == ((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


@pytest.mark.parametrize("anomalous", [torch.zeros(4).bool(), torch.ones(4).bool()])
def test_one_kind_of_images_has_no_area(anomalous: Tensor) -> None:
    with pytest.raises(UserError, match=f"all images are {'anomalous' if anomalous.all() else 'normal'}; "):
        measure_detection(torch.arange(4.0), anomalous)


def test_components_have_the_area_as_mean_and_its_variance_by_delong() -> None:
    """The variance is that of the areas of many sets of pairs, whose two scores are correlated."""
    count = 300
    areas, variances = [], []
    for seed in range(400):
        normal, change = draw_normal((2, count), seed, "pairs").double()
        anomalous = 0.8 * normal + 0.6 * change + 0.5
        components = compute_auc_components(normal, anomalous)
        truth = torch.arange(2 * count) >= count
        areas.append(roc_auc_score(truth, torch.cat([normal, anomalous])))
        assert components.mean().item() == pytest.approx(areas[-1], abs=1e-12)
        variances.append(components.var().item() / count)
    assert np.var(areas) == pytest.approx(np.mean(variances), rel=0.2)
    ties = compute_auc_components(torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))
    assert ties.mean().item() == pytest.approx(roc_auc_score([0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1]))
