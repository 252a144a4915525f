"""KID against its reference implementations."""

import math

import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.kid import poly_mmd

from vaegan.evaluate.metrics import kid
from vaegan.evaluate.metrics.dealt_rows import deal_tensor
from vaegan.evaluate.metrics.kid import compute_block_values, compute_kid, compute_mmd2
from vaegan.randomness import draw_normal, make_generator


def test_kid_is_that_of_the_reference_packages(features: tuple[Tensor, Tensor]) -> None:
    real, other = (each[:250] for each in features)
    value = compute_mmd2(real, other).item()
    fidelity_value = kid_features_to_metric(
        other.double(), real.double(), kid_subsets=1, kid_subset_size=250, rng_seed=0, verbose=False
    )["kernel_inception_distance_mean"]
    assert value == pytest.approx(fidelity_value, rel=1e-6)
    assert value == pytest.approx(poly_mmd(real.double(), other.double()).item(), rel=1e-6)
    assert value > 0.01


def test_kid_of_sets_of_different_size_is_the_definition(features: tuple[Tensor, Tensor]) -> None:
    real, other = (each[:count].double() for each, count in zip(features, (9, 7), strict=True))

    def k(x: Tensor, y: Tensor) -> float:
        return ((x @ y).item() / len(x) + 1) ** 3

    expected = sum(k(x, y) for i, x in enumerate(real) for j, y in enumerate(real) if i != j) / (9 * 8)
    expected += sum(k(x, y) for i, x in enumerate(other) for j, y in enumerate(other) if i != j) / (7 * 6)
    expected -= 2 * sum(k(x, y) for x in real for y in other) / (9 * 7)
    assert compute_mmd2(real, other).item() == pytest.approx(expected, rel=1e-9)


def test_a_small_set_is_compared_whole_with_each_block_of_a_large_one(features, monkeypatch) -> None:
    monkeypatch.setattr(kid, "MAX_FEATURES", 40)
    real, other = features[0][:100], features[1][:3]
    for index, sets in enumerate(((real, other), (other, real))):
        order = torch.randperm(100, generator=make_generator(0, "kid", index))
        expected = torch.stack([compute_mmd2(real[block], other) for block in order.tensor_split(3)]).mean().item()
        assert compute_kid(*map(deal_tensor, sets)) == pytest.approx(expected, rel=1e-12)


def test_kid_of_one_distribution_is_about_0() -> None:
    values = torch.stack(
        [
            compute_block_values(*(deal_tensor(draw_normal((200, 8), s, name)) for name in "ab")).mean()
            for s in range(50)
        ]
    )
    assert abs(values.mean().item()) < 3 * values.std().item() / math.sqrt(50)
    assert (values < 0).any()


@pytest.mark.parametrize(
    ("real", "other", "expected"),
    [(300, 260, 10), (100, 100, 5), (1000, 3000, 10), (30, 30, 1), (2, 9, 1), (39, 500, 1)],
)
def test_blocks_are_many_enough_and_large_enough(real: int, other: int, expected: int) -> None:
    sets = [deal_tensor(draw_normal((count, 2), 0, name)) for count, name in ((real, "one"), (other, "two"))]
    assert compute_block_values(*sets).shape == (expected,)


@pytest.mark.parametrize("rows", [2**22, 1000])
def test_all_pairs_are_compared_as_far_as_there_are_not_too_many(
    rows: int, features: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = compute_mmd2(*features).item()
    real, other = map(deal_tensor, features)
    monkeypatch.setattr(kid, "MAX_KERNEL_VALUES", rows)
    assert compute_kid(real, other) == pytest.approx(whole, rel=1e-9)
    monkeypatch.setattr(kid, "MAX_FEATURES", 150)
    halves = compute_kid(real, other)
    assert halves != pytest.approx(whole, rel=1e-6) and halves == pytest.approx(whole, rel=0.5)


def test_blocks_hold_every_feature_once_and_the_same_ones_each_time(features: tuple[Tensor, Tensor]) -> None:
    real, other = map(deal_tensor, features)
    values = compute_block_values(real, other)
    assert values.shape == (10,) and torch.equal(values, compute_block_values(real, other))
    marked = features[1].clone()
    marked[17] += 100
    assert (compute_block_values(real, deal_tensor(marked)) != values).sum() == 1  # it is in one block
    assert values.mean().item() == pytest.approx(
        compute_mmd2(*features).item(), abs=4 * values.std().item() / math.sqrt(10)
    )
