"""Metrics that can decide, and what is said of those that cannot."""

import pytest

from vaegan.errors import UserError
from vaegan.evaluate.deciding_metric import check_deciding_metric

MEASURED = ("psnr", "kid", "frechet", "gap")


def check(metric: str, measured: tuple[str, ...] = MEASURED, features: str = "inception") -> None:
    check_deciding_metric(metric, "key", measured, features)


def test_metrics_that_can_decide() -> None:
    for metric in ("sample/kid", "reconstruction/kid", "reconstruction/psnr", "sample/fid", "gap/mmd2"):
        check(metric)
    check("sample/fd", features="digits")


@pytest.mark.parametrize(
    ("metric", "features", "expected"),
    [
        ("sample/kidd", "inception", "no metric that can decide; did you mean sample/kid?; allowed: "),
        ("sample/recall", "inception", "not among those that evaluate.metrics names"),
        ("sample/fd", "inception", "not its name in features of inception; did you mean sample/fid?"),
        ("sample/fid", "digits", "not its name in features of digits; did you mean sample/fd?"),
        ("rate", "inception", "no metric that can decide"),
        ("seconds", "inception", "not among those that evaluate.metrics names"),
    ],
)
def test_metrics_that_cannot(metric: str, features: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        check(metric, features=features)
    assert str(caught.value).startswith(f"key: {metric}: {expected}")


def test_of_two_averages_the_lower_value_is_chosen() -> None:
    check_deciding_metric("sample/kid", "key", MEASURED, "inception", better="lower")
    with pytest.raises(UserError, match=r"^key: reconstruction/psnr: no metric of which less is better"):
        check_deciding_metric("reconstruction/psnr", "key", MEASURED, "inception", better="lower")


def test_lpips_has_the_name_that_it_is_measured_by(stand_in, no_downloads) -> None:
    measured = ("lpips",)
    check("reconstruction/lpips_random", measured)
    missing = (
        "reconstruction/lpips_alex: not its name on this machine, by the weights of AlexNet that are there or miss"
    )
    with pytest.raises(UserError, match=f"^key: {missing}.*; allowed: .*reconstruction/lpips_random"):
        check("reconstruction/lpips_alex", measured)
    with pytest.raises(UserError, match=r"^key: anomaly/auc_lpips_alex: not its name .*anomaly/auc_lpips_random"):
        check("anomaly/auc_lpips_alex", ("anomaly",))
    stand_in("alex")
    check("reconstruction/lpips_alex", measured)
    check("anomaly/auc_lpips_alex", ("anomaly",))
    with pytest.raises(UserError, match=r"lpips_random: not its name .*; did you mean reconstruction/lpips_alex"):
        check("reconstruction/lpips_random", measured)
