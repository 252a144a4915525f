"""The rule by which changes pass a screening, and the metrics that can decide."""

import pytest

from vaegan.config.load_ablation import LoadedAblation, Selection, load_ablation
from vaegan.errors import UserError
from vaegan.evaluate.screening import check_metric, find_metric_key, list_differences, select_changes

WIDER = {"model": {"width": 8}}


def load_digits(**settings: object) -> LoadedAblation:
    changes = {"a": {"train": {"learning_rate": 0.1}}, "b": {"model": {"beta": 2}}, "c": {"model": {"width": 8}}}
    base = {"recipe": "digits/vaegan3", "set": {"evaluate": {"metrics": ["psnr", "kid", "frechet", "gap"]}}}
    tree = {"title": "T", "base": base, "changes": changes, "metric": "sample/kid", "screen": {"steps": 5}}
    return load_ablation({**tree, **settings})


def make_metrics(key: str, **values: tuple[float, float]) -> dict[str, list[dict[str, float]]]:
    return {name: [{key: value} for value in of_seeds] for name, of_seeds in values.items()}


def test_the_changes_pass_that_are_better_on_average_the_best_first() -> None:
    values = {"base": (1.0, 2.0), "a": (0.5, 2.4), "b": (1.4, 0.4), "c": (0.9, 2.2)}
    lower, higher = make_metrics("sample/kid_digits", **values), make_metrics("reconstruction/psnr", **values)
    assert select_changes(load_digits(), lower) == Selection(["b", "a"], ["b", "a"])
    assert select_changes(load_digits(keep=1), lower) == Selection(["b"], ["b"])
    assert select_changes(load_digits(metric="reconstruction/psnr"), higher) == Selection(["c"], ["c"])
    assert select_changes(load_digits(), make_metrics("sample/kid", **dict.fromkeys(values, (1.0, 2.0)))) == Selection(
        [], []
    )
    with pytest.raises(UserError, match=r"^config: changes\.b: its runs have no sample/kid_digits"):
        select_changes(load_digits(), {**lower, "b": [{}, {}]})
    assert list_differences(lower, "b", "sample/kid_digits") == pytest.approx([0.4, -1.6])
    assert list_differences({**lower, "a": [{}, {}]}, "a", "sample/kid_digits") == []


@pytest.mark.parametrize(
    ("of_sum", "a", "expected"),
    [
        ((0.4, 1.9), 0.9, Selection(["c", "a"], ["a", "b", "c"])),
        ((0.5, 2.0), 0.9, Selection(["c", "a"], ["c", "a"])),
        ((0.4, 1.9), 1.9, Selection(["c"], ["a", "b", "c"])),
        ((1.5, 2.0), 0.9, Selection(["c", "a"], ["c", "a"])),
        (None, 0.9, Selection(["c", "a"], ["c", "a"])),
    ],
    ids=["better than each", "as good as the best", "one passes alone", "worse than the base", "without the metric"],
)
def test_a_sum_passes_as_it_is_if_it_is_better_than_every_change_alone(of_sum, a, expected) -> None:
    changes = {"a": {"train": {"learning_rate": 0.1}}, "b": {"model": {"beta": 2}}, "c": {"model": {"width": 8}}}
    values = {"base": (1.0, 2.0), "a": (a, 2.0), "b": (1.4, 2.0), "c": (0.8, 1.7)}
    metrics = make_metrics("sample/kid", **values) | {"sum": [{}, {}]}
    if of_sum is not None:
        metrics |= make_metrics("sample/kid", sum=of_sum)
    assert select_changes(load_digits(changes=changes), metrics) == expected
    if expected.summed == ["a", "b", "c"]:
        assert select_changes(load_digits(changes=changes, keep=1), metrics) == Selection(["c"], ["a", "b", "c"])


def test_the_sum_may_pass_without_a_change_that_does() -> None:
    changes = {"a": {"train": {"learning_rate": 0.1}}, "b": {"model": {"beta": 2}}}
    metrics = make_metrics("sample/kid", base=(1.0, 1.0), a=(1.5, 1.0), b=(1.0, 1.0), sum=(0.5, 1.0))
    assert select_changes(load_digits(changes=changes), metrics) == Selection([], ["a", "b"])


def test_the_key_of_a_metric_has_the_network_of_its_features() -> None:
    metrics = {"sample/kid_digits": 1.0, "reconstruction/kid_digits": 2.0, "sample/fd_digits": 3.0}
    assert find_metric_key("sample/kid", metrics) == "sample/kid_digits"
    with pytest.raises(
        UserError, match="metric: sample/recall: the runs do not have it; they have reconstruction/kid_"
    ):
        find_metric_key("sample/recall", metrics)


def check(**settings: object) -> None:
    loaded = load_digits(**settings)
    check_metric(loaded, loaded.load_phase("screen", loaded.select_all()))


def test_the_metric_is_one_of_those_of_the_runs() -> None:
    check(metric="reconstruction/psnr")
    check(metric="sample/fd", features="digits")
    with pytest.raises(UserError, match=r"^config: metric: sample/fid: not its name in features of .*digits"):
        check(metric="sample/fid", features="digits")
    with pytest.raises(UserError, match=r"^config: metric: sample/kid: not measured of such a model"):
        check(base={"recipe": "digits/ae", "set": {"evaluate": {"metrics": ["psnr", "kid"]}}}, changes={"w": WIDER})
    bernoulli = {"model": {"likelihood": "bernoulli"}}
    base = {"recipe": "digits/vae", "set": {"evaluate": {"metrics": ["iwae"]}}}
    check(base=base, changes={"w": WIDER}, metric="iwae")
    with pytest.raises(UserError, match=r"^config: changes\.b: metric: iwae: not measured of such a model"):
        check(base=base, changes={"w": WIDER, "b": bernoulli}, metric="iwae")
