"""Sets of images in a network's features: the networks, and the metrics that an evaluation computes with them."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaegan.config.classifier import ClassifierConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.errors import UserError
from vaegan.evaluate.metrics import feature_extractors
from vaegan.evaluate.metrics.dealt_rows import deal_tensor
from vaegan.evaluate.metrics.feature_extractors import build_extractor
from vaegan.evaluate.metrics.frechet import compute_moments, fit_gaussian, frechet
from vaegan.evaluate.metrics.kid import compute_mmd2
from vaegan.evaluate.metrics.precision_recall import compute_prdc
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.evaluate.result import EvaluationResult, write_result
from vaegan.images import to_float, to_uint8
from vaegan.models import Classifier
from vaegan.storage.run_folder import Run

from ..distortions import DistortingModel, add_noise, blur, evaluate, to_split

NAMES = ("kid", "precision", "recall", "density", "coverage")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Return the run of a classifier of digits, with metrics."""
    run = Run(tmp_path / "runs" / "net")
    run.path.mkdir(parents=True)
    run.export(Classifier(ClassifierConfig(width=8, classes=10), (1, 8, 8), 3).eval(), 1)
    write_result(EvaluationResult({"test/accuracy": 0.5, "test/cross_entropy": 1.0}, {}), run)
    return run.path


def extract_features(path: Path, images: Tensor) -> Tensor:
    with torch.no_grad():
        return build_extractor(str(path), tuple(images.shape[1:]))(images)


@pytest.mark.parametrize("names", [("frechet",), ("frechet", "kid", "prdc"), ("kid",)])
def test_the_metrics_are_those_of_the_features(names: tuple[str, ...], trained: Path, digits: Tensor) -> None:
    pixels = digits[:60]

    def soft(images: Tensor) -> Tensor:
        return blur(images, 0.5)

    evaluation = evaluate(pixels, soft, *names, features=str(trained))
    images = to_float(pixels)
    real, fake = (extract_features(trained, each) for each in (images, to_float(to_uint8(soft(images)))))
    expected = {}
    if "frechet" in names:
        expected["fd_net"] = frechet(fit_gaussian(compute_moments(real)), fit_gaussian(compute_moments(fake)))
    if "kid" in names:
        expected["kid_net"] = compute_mmd2(real, fake).item()
    if "prdc" in names:
        expected |= {
            f"{name}_net": value for name, value in asdict(compute_prdc(deal_tensor(real), deal_tensor(fake))).items()
        }
    both = {f"{kind}/{name}": value for kind in ("reconstruction", "sample") for name, value in expected.items()}
    assert evaluation.metrics == pytest.approx(both, rel=1e-5)
    assert set(evaluation.scores) == ({"reconstruction/kid_net", "sample/kid_net"} if "kid" in names else set())
    protocol = evaluation.protocol["features"]
    assert protocol["network"] == "classifier net" and protocol["accuracy"] == {"test/accuracy": 0.5}
    assert set(names) <= set(protocol)


def test_with_few_images_what_needs_more_is_left_out_and_says_so(trained: Path, digits: Tensor) -> None:
    one = evaluate(digits[:1], lambda images: images, "frechet", "kid", "prdc", "psnr", features=str(trained))
    assert set(one.metrics) == {"reconstruction/psnr"}
    least = {"frechet": 2, "kid": 2, "prdc": 6}
    assert one.protocol["left_out"] == {
        f"{kind}/{name}": f"fewer than {least[name]} images (1)"
        for kind in ("reconstruction", "sample")
        for name in least
    }
    five = evaluate(digits[:5], lambda images: images, "frechet", "kid", "prdc", features=str(trained))
    assert set(five.metrics) == {
        f"{kind}/{name}_net" for kind in ("reconstruction", "sample") for name in ("fd", "kid")
    }
    assert set(five.protocol["left_out"]) == {"reconstruction/prdc", "sample/prdc"}
    alone = evaluate(digits[:1], lambda images: images, "frechet", features=str(trained))
    assert not alone.metrics and set(alone.protocol["left_out"]) == {"reconstruction/frechet", "sample/frechet"}
    six = evaluate(digits[:6], lambda images: images, "frechet", "kid", "prdc", features=str(trained))
    assert "left_out" not in six.protocol and len(six.metrics) == 12


def test_worse_images_are_further_away(trained: Path, digits: Tensor) -> None:
    results = [
        evaluate(
            digits, lambda images, a=a: add_noise(images, a), "frechet", "kid", "prdc", features=str(trained)
        ).metrics
        for a in (0.0, 0.1, 0.4)
    ]
    for name in ("fd_net", "kid_net"):
        values = [each[f"sample/{name}"] for each in results]
        assert values == sorted(values) and values[0] == pytest.approx(0, abs=1e-6 if name == "fd_net" else 0.01)
    assert results[0]["sample/precision_net"] == 1 > results[2]["sample/precision_net"]


def evaluate_blurred(trained: Path, pixels: Tensor, metric: str, fingerprint: str | None) -> dict[str, float]:
    model = DistortingModel(pixels, lambda images: blur(images, 0.5), -10.0)
    settings = EvaluateConfig(metrics=(metric,), features=str(trained), batch_size=20)
    return evaluate_model(model, to_split(pixels, fingerprint), settings, seed=0).metrics


@pytest.mark.parametrize("metric", ["frechet", "kid"])
def test_features_of_real_images_are_made_once(metric, trained, digits, tmp_path, monkeypatch) -> None:
    seen, whole = [], feature_extractors.ClassifierExtractor.__call__

    def count_calls(self: feature_extractors.ClassifierExtractor, images: Tensor) -> Tensor:
        seen.append(len(images))
        return whole(self, images)

    monkeypatch.setattr(feature_extractors.ClassifierExtractor, "__call__", count_calls)
    expected = evaluate_blurred(trained, digits[:50], metric, None)
    assert sum(seen) == 150 and not (tmp_path / "cache").exists()
    for fingerprint, images in (("a", 150), ("a", 100), ("b", 150), ("b", 100)):
        seen.clear()
        assert evaluate_blurred(trained, digits[:50], metric, fingerprint) == expected
        assert sum(seen) == images
    for file in (tmp_path / "cache" / "features").iterdir():
        file.write_bytes(file.read_bytes()[:-3])  # torn
    seen.clear()
    assert evaluate_blurred(trained, digits[:50], metric, "a") == expected and sum(seen) == 150


def test_a_cache_that_cannot_be_written_costs_nothing(trained: Path, digits: Tensor, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder must be")
    assert evaluate_blurred(trained, digits[:20], "frechet", "a") == evaluate_blurred(
        trained, digits[:20], "frechet", None
    )


def test_a_network_of_other_images_is_refused(trained: Path, photos: Tensor, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"evaluate\.features: .*net is for images of 1x8x8, not 3x32x32"):
        evaluate(photos[:4], lambda images: images, "frechet", features=str(trained))
    with pytest.raises(UserError, match="not a run folder"):
        evaluate(photos[:4], lambda images: images, "frechet", features=str(tmp_path / "none"))
