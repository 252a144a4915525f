"""What the script for the time to quality computes from the points of trainings."""

from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from ..tiny import tiny


@pytest.fixture
def quality(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    import quality

    return quality


def test_a_distance_is_reached_between_two_points(quality: Any) -> None:
    curve = [(10, 1.0, 8.0), (20, 3.0, 4.0), (30, 4.0, 6.0), (40, 9.0, 1.0)]
    points = [quality.Point(images, seconds, {"sample": distance}) for images, seconds, distance in curve]
    assert quality.find_cost(points, "sample", 5.0) == (17.5, 2.5)
    assert quality.find_cost(points, "sample", 4.0) == (20, 3.0)
    assert quality.find_cost(points, "sample", 3.0) == pytest.approx((36, 7.0))
    assert quality.find_cost(points, "sample", 9.0) == (10, 1.0)
    assert quality.find_cost(points, "sample", 0.5) is None


def test_intervals_are_those_of_students_t(quality: Any) -> None:
    values = [2.0, 3.0, 7.0]
    low, high = stats.t.interval(0.95, 2, loc=4.0, scale=stats.sem(values))
    assert quality.measure_half_width(values) == pytest.approx((high - low) / 2, rel=1e-12)
    assert quality.measure_half_width([2.0]) is None


def test_another_setting_has_another_file(quality: Any) -> None:
    tasks = [
        quality.Task("vae", tiny("vae"), False, 100, 50), quality.Task("vae", tiny("vae"), True, 100, 50),
        quality.Task("vae", tiny("vae"), False, 200, 50), quality.Task("vae", tiny("vae", "seed=6"), False, 100, 50),
        quality.Task("vae", tiny("vae", "train.batch_size=4"), False, 100, 50),
    ]  # fmt: skip
    assert len({task.file_name for task in tasks}) == len(tasks)
    assert tasks[0].file_name == quality.Task("vae", tiny("vae"), False, 100, 50).file_name
