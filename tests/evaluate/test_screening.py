"""The rule by which changes pass a screening, and the metrics that can decide."""

import pytest

from vaegan.config.load_ablation import LoadedAblation, load_ablation
from vaegan.errors import UserError
from vaegan.evaluate.screening import check_metric, find_metric_key, list_differences, select_changes


def load_digits(**settings: object) -> LoadedAblation:
    changes = {name: {"train": {"learning_rate": 0.1}} for name in "abc"}
    base = {"recipe": "digits/vaegan3", "set": {"evaluate": {"metrics": ["psnr", "kid", "frechet", "gap"]}}}
    tree = {"title": "T", "base": base, "changes": changes, "metric": "sample/kid", "screen": {"steps": 5}}
    return load_ablation({**tree, **settings})


def make_metrics(key: str, **values: tuple[float, float]) -> dict[str, list[dict[str, float]]]:
    return {name: [{key: value} for value in of_seeds] for name, of_seeds in values.items()}


def test_the_changes_pass_that_are_better_on_average_the_best_first() -> None:
    values = {"base": (1.0, 2.0), "a": (0.5, 2.4), "b": (1.4, 0.4), "c": (0.9, 2.2)}
    lower, higher = make_metrics("sample/kid_digits", **values), make_metrics("reconstruction/psnr", **values)
    assert select_changes(load_digits(), lower) == ["b", "a"]
    assert select_changes(load_digits(keep=1), lower) == ["b"]
    assert select_changes(load_digits(metric="reconstruction/psnr"), higher) == ["c"]
    assert select_changes(load_digits(), make_metrics("sample/kid", **dict.fromkeys(values, (1.0, 2.0)))) == []
    with pytest.raises(UserError, match=r"^config: changes\.b: its runs have no sample/kid_digits"):
        select_changes(load_digits(), {**lower, "b": [{}, {}]})
    assert list_differences(lower, "b", "sample/kid_digits") == pytest.approx([0.4, -1.6])
    assert list_differences({**lower, "a": [{}, {}]}, "a", "sample/kid_digits") == []


def test_the_key_of_a_metric_has_the_network_of_its_features() -> None:
    metrics = {"sample/kid_digits": 1.0, "reconstruction/kid_digits": 2.0, "sample/fd_digits": 3.0}
    assert find_metric_key("sample/kid", metrics) == "sample/kid_digits"
    with pytest.raises(
        UserError, match="metric: sample/recall: the runs do not have it; they have reconstruction/kid_"
    ):
        find_metric_key("sample/recall", metrics)


def check(**settings: object) -> None:
    loaded = load_digits(**settings)
    check_metric(loaded, loaded.load_phase("screen", ["a"]))


def test_metrics_that_can_decide() -> None:
    for metric in ("sample/kid", "reconstruction/kid", "reconstruction/psnr", "sample/fid", "gap/mmd2"):
        check(metric=metric)
    check(metric="sample/fd", features="digits")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"metric": "sample/kidd"}, "sample/kidd: no metric that can decide; did you mean sample/kid?; allowed: "),
        ({"metric": "sample/recall"}, "sample/recall: not among those that evaluate.metrics names"),
        ({"metric": "sample/fd"}, "sample/fd: not among those that evaluate.metrics names; did you mean sample/fid?"),
        ({"metric": "sample/fid", "features": "digits"}, "did you mean sample/fd?"),
        ({"metric": "rate"}, "rate: no metric that can decide"),
        ({"metric": "seconds"}, "seconds: not among those that evaluate.metrics names"),
    ],
)
def test_metrics_that_cannot(settings: dict[str, str], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        check(**settings)
    assert f"config: metric: {settings['metric']}: " in str(caught.value) and expected in str(caught.value)
