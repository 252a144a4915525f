"""Metrics that can decide, and what is said of those that cannot."""

import pytest
import torch

from tests.tiny import AUTOENCODERS, CONDITIONAL_OPTIONS, tiny
from vaegan.config import Config
from vaegan.config.models import GANConfig
from vaegan.data import Images
from vaegan.errors import UserError
from vaegan.evaluate.deciding_metric import check_deciding_metric
from vaegan.evaluate.metric_descriptions import METRIC_DESCRIPTIONS, Better
from vaegan.evaluate.metrics import completion
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.evaluate.one_pass import ImageSplit
from vaegan.models import build_model
from vaegan.networks.build import build_discriminator

MEASURED = ("psnr", "kid", "frechet", "gap")
MODEL_METRICS = ("psnr", "sharpness", "elbo", "iwae", "calibration", "gap", "anomaly", "completion")
"""Metrics that need no network of features."""


def check(
    metric: str, measured: tuple[str, ...] = MEASURED, features: str = "inception", better: Better | None = None,
    name: str = "vaegan3", *overrides: str,
) -> None:  # fmt: skip
    config = tiny(name, f"evaluate.metrics={list(measured)}", f"evaluate.features={features}", *overrides)
    check_deciding_metric(metric, "key", config.evaluate, config.model, better)


def can_decide(metric: str, config: Config) -> bool:
    try:
        check_deciding_metric(metric, "key", config.evaluate, config.model)
    except UserError:
        return False
    return True


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
    check("sample/kid", better="lower")
    with pytest.raises(UserError, match=r"^key: reconstruction/psnr: no metric of which less is better"):
        check("reconstruction/psnr", better="lower")


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


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        *((name, ()) for name in AUTOENCODERS),
        ("ae", ("evaluate.density=gaussian",)),
        ("vae", ("model.likelihood=bernoulli",)),
        ("vae", CONDITIONAL_OPTIONS["vae"]),
    ],
)
def test_those_that_can_decide_are_those_that_are_measured_of_the_model(name, overrides, monkeypatch) -> None:
    monkeypatch.setattr(completion, "STEPS", 1)
    config = tiny(name, f"evaluate.metrics={list(MODEL_METRICS)}", "evaluate.importance_samples=2", *overrides)
    pixels = torch.randint(0, 256, (13, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    images = Images(pixels, torch.arange(13), torch.arange(13) % 10, tuple("0123456789"))
    discriminator = None
    if isinstance(config.model, GANConfig):
        discriminator = build_discriminator(config.model, (1, 8, 8), 0)
    measured = evaluate_model(
        build_model(config.model, (1, 8, 8), 0), ImageSplit("validation", images), config.evaluate, seed=0,
        training=images, discriminator=discriminator,
    ).metrics  # fmt: skip
    judging = {key for key, metric in METRIC_DESCRIPTIONS.items() if metric.better is not None}
    assert {key for key in judging if can_decide(key, config)} == judging & measured.keys()


def test_a_metric_that_the_model_does_not_have_cannot_decide() -> None:
    with pytest.raises(UserError, match=r"^key: sample/kid: not measured of such a model; .*reconstruction/kid"):
        check("sample/kid", name="ae")
    check("anomaly/auc_realness", ("anomaly",))
    with pytest.raises(UserError, match=r"^key: anomaly/auc_realness: not measured of such a model"):
        check("anomaly/auc_realness", ("anomaly",), "inception", None, "vaegan3", "model.discriminator.packing=2")
    check("augmentation/both", ("augmentation",), "runs/digits", None, "vae", "model.labels=10")
    with pytest.raises(UserError, match=r"^key: augmentation/both: not measured of such a model"):
        check("augmentation/both", ("augmentation",), "runs/digits", None, "vae")
