import math

import pytest
import scipy.stats
import torch
from torch import Tensor

from vaegan.evaluate.comparing import bootstrap
from vaegan.evaluate.comparing.bootstrap import (
    Estimate,
    Means,
    compute_effect_size,
    correct_holm,
    estimate,
    estimate_from_blocks,
)

STUDIES = 400
EFFECT = 0.3


def difference(means: Means) -> Tensor:
    return means["pairs/x"][:, 0]


def draw_study(number: int, seeds: int, images: int, of_seed: float, of_image: float) -> list[dict[str, Tensor]]:
    """Paired differences whose mean is `EFFECT`, with something of each seed and each image, and 1 of each pair."""
    draw = torch.Generator().manual_seed(number)
    shared = of_image * torch.randn(images, 1, generator=draw)
    return [
        {
            "pairs/x": EFFECT
            + of_seed * torch.randn(1, 1, generator=draw)
            + shared
            + torch.randn(images, 1, generator=draw)
        }
        for _ in range(seeds)
    ]


def measure_coverage(seeds: int, images: int, of_seed: float, of_image: float) -> float:
    """Return how often the interval holds the effect: of the seeds at hand if they are few, else of all seeds."""
    inside = 0
    for number in range(STUDIES):
        rows = draw_study(number, seeds, images, of_seed, of_image)
        result = estimate(rows, difference)
        inside += result.low <= EFFECT <= result.high
    return inside / STUDIES


@pytest.fixture(autouse=True)
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 300)


# 400 studies scatter by 0.011
@pytest.mark.parametrize(
    ("seeds", "images", "of_seed", "of_image"),
    [(1, 60, 0.0, 0.0), (3, 60, 0.0, 1.0), (3, 40, 0.0, 0.0), (6, 60, 0.5, 0.3), (6, 60, 0.0, 1.0)],
)
def test_the_interval_holds_the_effect_as_often_as_it_says(
    seeds: int, images: int, of_seed: float, of_image: float
) -> None:
    assert 0.92 <= measure_coverage(seeds, images, of_seed, of_image) <= 0.98


def test_where_there_is_no_effect_it_is_found_as_rarely_as_the_level_says() -> None:
    significant = []
    for number in range(STUDIES):
        rows = [{"pairs/x": seed_rows["pairs/x"] - EFFECT} for seed_rows in draw_study(number, 3, 60, 0.0, 0.5)]
        significant.append(estimate(rows, difference).p < 0.05)
    assert 0.02 <= sum(significant) / STUDIES <= 0.08


def test_few_seeds_say_nothing_of_others() -> None:
    """The same differences from three and from five seeds that disagree: only five tell of all seeds."""
    rows = [{"pairs/x": torch.full((50, 1), value) + 0.01 * torch.randn(50, 1)} for value in (-1.0, 0.0, 4.0)]
    assert estimate(rows, difference).error < 0.01
    assert estimate(rows + rows[:2], difference).error > 0.5


def test_it_is_the_textbooks_for_a_mean_of_one_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20_000)
    (rows,) = draw_study(0, 1, 100, 0.0, 0.0)
    result, x = estimate([rows], difference), rows["pairs/x"][:, 0].double()
    expected = scipy.stats.ttest_1samp(x.numpy(), 0)
    interval = expected.confidence_interval()
    assert result.value == pytest.approx(x.mean().item())
    assert result.error == pytest.approx((x.std() / math.sqrt(100)).item(), rel=0.02)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high), rel=0.03)


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_one_image_tells_nothing_of_others(seeds: int) -> None:
    result = estimate([{"pairs/x": torch.tensor([[float(seed)]])} for seed in range(seeds)], difference)
    assert result == Estimate((seeds - 1) / 2, math.inf, -math.inf, math.inf, 1.0)


def test_few_images_are_not_sure() -> None:
    inside = [
        result.low <= EFFECT <= result.high
        for result in (estimate(draw_study(number, 1, 8, 0.0, 0.0), difference) for number in range(STUDIES))
    ]
    assert 0.91 <= sum(inside) / STUDIES <= 0.98


def test_the_same_resample_meets_all_that_is_said_of_the_same_images() -> None:
    """Otherwise what two variants share would not cancel."""
    shared = torch.randn(80, 1, dtype=torch.float64)
    rows = [{"pairs/a": shared + 0.01, "pairs/b": shared}]
    result = estimate(rows, lambda means: (means["pairs/a"] - means["pairs/b"])[:, 0])
    assert result.value == pytest.approx(0.01) and result.error < 1e-12
    rows = [{"pairs/a": shared + 0.01, "sample/b": shared}]
    assert estimate(rows, lambda means: (means["pairs/a"] - means["sample/b"])[:, 0]).error > 0.05


def test_the_answer_is_always_the_same_however_much_is_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = draw_study(0, 6, 50, 0.5, 0.5)
    whole = estimate(rows, difference)
    assert estimate(rows, difference) == whole
    monkeypatch.setattr(bootstrap, "MAX_WEIGHTS", 50 * 70)
    assert estimate(rows, difference).error == pytest.approx(whole.error, rel=0.15)


def test_blocks_are_independent_values() -> None:
    values = torch.tensor([1.0, 2.0, 4.0, 3.0])
    result = estimate_from_blocks([2.5], [values])
    expected = scipy.stats.ttest_1samp(values.numpy(), 0)
    interval = expected.confidence_interval()
    assert (result.value, result.low, result.high) == pytest.approx((2.5, interval.low, interval.high), rel=1e-6)
    assert result.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert (
        estimate_from_blocks([9.0], [values]).value == 9 and estimate_from_blocks([9.0], [values]).error == result.error
    )
    assert estimate_from_blocks([3.0], [torch.tensor([3.0])]) == Estimate(3.0, math.inf, -math.inf, math.inf, 1.0)


@pytest.mark.parametrize(
    ("seeds", "of_seed", "of_block"), [(1, 0.0, 1.0), (3, 0.0, 1.0), (5, 0.0, 1.0), (8, 0.0, 1.0), (6, 1.0, 0.5)]
)
def test_the_interval_of_blocks_holds_the_effect_as_often_as_it_says(
    seeds: int, of_seed: float, of_block: float
) -> None:
    """The real images of a block are the same for all seeds, so that what they do to a difference does not average."""
    inside = 0
    for number in range(STUDIES):
        rows = [seed_rows["pairs/x"][:, 0] for seed_rows in draw_study(number, seeds, 10, of_seed, of_block)]
        result = estimate_from_blocks([row.mean().item() for row in rows], rows)
        inside += result.low <= EFFECT <= result.high
    assert 0.92 <= inside / STUDIES <= 0.98


def test_the_effect_size_is_that_of_paired_images() -> None:
    one, other = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([3.0, 2.0, 4.0])
    mean = torch.tensor([2.0, 2.0, 3.5])
    assert compute_effect_size([one, other]) == pytest.approx((mean.mean() / mean.std()).item())
    assert compute_effect_size([torch.zeros(4)]) == compute_effect_size([torch.ones(1)]) == 0


def test_holm() -> None:
    assert correct_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm 1979 by hand
    assert correct_holm([0.6, 0.9]) == [1.0, 1.0]
    assert correct_holm([]) == []
