import pytest

from vaegan.evaluate.metric_descriptions import (
    METRIC_DESCRIPTIONS,
    describe_metric,
    format_duration,
    format_memory,
    format_sample_source,
    sort_metrics,
    strip_network,
)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599.6, "1 h 0 min")],
)
def test_durations_have_their_two_largest_units(seconds: float, expected: str) -> None:
    assert format_duration(seconds) == expected


def test_memory_is_in_mib_or_gib() -> None:
    assert [format_memory(2**power) for power in (20, 29, 30)] == ["1 MiB", "512 MiB", "1.00 GiB"]


def test_metrics_keep_the_order_of_the_descriptions_and_unknown_ones_come_last() -> None:
    keys = [key for key in METRIC_DESCRIPTIONS if not METRIC_DESCRIPTIONS[key].is_set_metric]
    assert sort_metrics({"unknown", *reversed(keys)}) == [*keys, "unknown"]


def test_a_network_is_named_with_the_metric_of_its_features() -> None:
    assert strip_network("sample/fd_digits") == "sample/fd" and strip_network("unknown_digits") == "unknown_digits"
    assert describe_metric("sample/fd_digits").label.endswith("(digits)")
    assert describe_metric("sample/fd_digits", "GMM of 3").group.endswith("(GMM of 3)")
    assert describe_metric("unknown").label == "unknown"


def test_a_density_is_named_with_every_metric_of_samples() -> None:
    named = {key for key in METRIC_DESCRIPTIONS if format_sample_source(key, "GMM of 3")}
    others = ("reconstruction/", "elbo", "bits", "rate", "iwae", "calibration/", "gap/", "codebook/", "anomaly/",
              "completion/", "augmentation/real", "seconds", "memory", "parameters")  # fmt: skip
    assert named == {key for key in METRIC_DESCRIPTIONS if not key.startswith(others)} and len(named) > 15
