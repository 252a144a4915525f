"""Precision and recall, density and coverage against their reference implementations."""

import prdc
import pytest
from torch import Tensor
from torch_fidelity.metric_prc import prc_features_to_metric

from vaegan.evaluate.metrics import dealt_rows
from vaegan.evaluate.metrics.dealt_rows import deal_tensor
from vaegan.evaluate.metrics.precision_recall import compute_prdc


@pytest.mark.parametrize("rows", [1024, 100, 7])
def test_precision_recall_density_and_coverage_are_those_of_the_reference(
    rows: int, features: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealt_rows, "BLOCK_ROWS", rows)
    real, other = features
    result = compute_prdc(deal_tensor(real), deal_tensor(other))
    theirs = prc_features_to_metric(other.double(), real.double(), prc_neighborhood=3, verbose=False)
    assert (result.precision, result.recall) == pytest.approx((theirs["precision"], theirs["recall"]), abs=1e-6)
    naeems = [prdc.compute_prdc(real.numpy(), other.numpy(), nearest_k=k) for k in (3, 5)]
    assert (result.precision, result.recall) == pytest.approx((naeems[0]["precision"], naeems[0]["recall"]))
    assert (result.density, result.coverage) == pytest.approx((naeems[1]["density"], naeems[1]["coverage"]))
    assert 0.1 < result.recall < 0.9 and 0.1 < result.coverage < 0.99


def test_a_set_covers_itself_and_not_what_is_far_away(features: tuple[Tensor, Tensor]) -> None:
    real = deal_tensor(features[0])
    itself = compute_prdc(real, real)
    assert (itself.precision, itself.recall, itself.coverage) == (1, 1, 1)
    far = compute_prdc(real, deal_tensor(features[1] + 50))
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)
