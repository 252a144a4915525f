"""Samples that are copies are found, and those of the images' own distribution are as near as held-out ones."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaegan.config.classifier import ClassifierConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.data import open_data
from vaegan.evaluate.metrics import feature_extractors
from vaegan.evaluate.metrics.feature_extractors import build_extractor
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.evaluate.one_pass import ImageSplit
from vaegan.evaluate.result import EvaluationResult
from vaegan.evaluate.run_evaluation import evaluate_on_data, evaluate_run
from vaegan.images import to_float
from vaegan.models import Classifier
from vaegan.progress import Reporter
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run
from vaegan.trainers import train
from vaegan.workflows.runs import train_run

from ...tiny import tiny
from ..distortions import DistortingModel, to_images, to_split

SPACES = ("in_pixels", "net")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Return the run of a classifier of digits."""
    run = Run(tmp_path / "runs" / "net")
    run.path.mkdir(parents=True)
    run.export(Classifier(ClassifierConfig(width=8, classes=10), (1, 8, 8), 3).eval(), 1)
    return run.path


def evaluate(
    trained: Path, samples: Tensor, held_out: Tensor, training: Tensor, split: ImageSplit | None = None,
    mirrored: bool = False,
) -> EvaluationResult:  # fmt: skip
    """Evaluate a model whose samples are the given images."""
    model = DistortingModel(samples, lambda images: images, -10.0)
    config = EvaluateConfig(metrics=("memorisation",), features=str(trained), batch_size=16, samples=len(samples))
    return evaluate_model(
        model, split or to_split(held_out), config, seed=0, training=to_images(training), mirrored=mirrored,
        notify=lambda _: None,
    )  # fmt: skip


def test_values_are_those_of_a_plain_search(trained: Path, digits: Tensor) -> None:
    training, held_out, samples = digits[:200], digits[200:260], digits[300:360]
    result = evaluate(trained, samples, held_out, training)
    rows = {
        "in_pixels": lambda pixels: to_float(pixels).flatten(1).double(),
        "net": lambda pixels: build_extractor(str(trained), (1, 8, 8))(to_float(pixels)).double(),
    }
    for name, compute in rows.items():
        with torch.no_grad():
            near, other = (
                torch.cdist(compute(pixels), compute(training), compute_mode="donot_use_mm_for_euclid_dist").min(1)
                for pixels in (samples, held_out)
            )
        difference = (other.values[None] - near.values[:, None]).sign()
        assert result.metrics[f"memorisation/nearer_{name}"] == pytest.approx(
            ((difference + 1) / 2).mean().item(), abs=1e-3
        )
        copies = (near.values < other.values.quantile(0.01)).double()
        assert result.metrics[f"memorisation/copies_{name}"] == pytest.approx(copies.mean().item(), abs=1e-12)
        pairs = result.scores["nearest/" + ("pixels" if name == "in_pixels" else "features")]
        torch.testing.assert_close(pairs[:, 0], near.values, rtol=1e-5, atol=1e-5)
        assert (pairs[:, 1] == near.indices).double().mean() > 0.95  # the network rounds otherwise in other batches
    assert len(result.metrics) == 4 and 0.2 < result.metrics["memorisation/nearer_in_pixels"] < 0.8


def test_copies_are_found_and_held_out_images_are_no_copies(trained: Path, digits: Tensor) -> None:
    training, held_out = digits[:200], digits[200:264]
    copies = evaluate(trained, training[50:114], held_out, training).metrics
    same = evaluate(trained, held_out, held_out, training).metrics
    for name in SPACES:
        assert copies[f"memorisation/nearer_{name}"] == copies[f"memorisation/copies_{name}"] == 1
        assert same[f"memorisation/nearer_{name}"] == pytest.approx(0.5, abs=1e-12)
        assert same[f"memorisation/copies_{name}"] <= 1 / 64
    half = torch.cat([training[50:82], held_out[:32]])
    metrics = evaluate(trained, half, held_out, training).metrics
    assert metrics["memorisation/copies_in_pixels"] == pytest.approx(0.5, abs=1 / 32)


def test_copies_of_mirrored_images_are_found_where_the_model_has_seen_them(trained: Path, digits: Tensor) -> None:
    training, held_out = digits[:200], digits[200:264]
    mirror_images = training[50:114].flip(-1)
    unseen = evaluate(trained, mirror_images, held_out, training)
    seen = evaluate(trained, mirror_images, held_out, training, mirrored=True)
    same = evaluate(trained, held_out, held_out, training, mirrored=True).metrics
    for name in SPACES:
        assert seen.metrics[f"memorisation/nearer_{name}"] == seen.metrics[f"memorisation/copies_{name}"] == 1
        assert unseen.metrics[f"memorisation/nearer_{name}"] < 0.9
        assert same[f"memorisation/nearer_{name}"] == pytest.approx(0.5, abs=1e-12)
    assert seen.scores["nearest/pixels"][:, 1].tolist() == list(range(50, 114))
    assert seen.protocol["memorisation"]["mirrored"] and not unseen.protocol["memorisation"]["mirrored"]


@pytest.mark.parametrize("flip", [False, True])
def test_a_run_says_whether_it_has_seen_mirrored_images(flip: bool, trained: Path, tmp_path: Path) -> None:
    words = ("evaluate.metrics=[memorisation]", f"evaluate.features={trained}", "evaluate.samples=8")
    config = tiny("vae", f"data.horizontal_flip={flip}", "train.steps=1", "model.network=mlp", *words)
    data = open_data(config.data)
    run = train(config, tmp_path / "run", data)
    result = evaluate_run(run, load(run.path), config.evaluate, data, Reporter())
    assert result.protocol["memorisation"]["mirrored"] is flip and len(result.metrics) == 4


def test_an_evaluation_during_a_training_counts_mirrored_images_too(trained: Path, tmp_path: Path) -> None:
    words = ("evaluate.metrics=[memorisation]", f"evaluate.features={trained}", "evaluate.split=validation")
    steps = ("train.steps=60", "train.evaluate_every=60", "train.learning_rate=0.01")
    config = tiny("vae", "data.horizontal_flip=true", *steps, "model.network=mlp", *words)
    run = train_run(config, tmp_path / "run", Reporter(), resume=False)
    measured = json.loads(run.history_file.read_text().splitlines()[-1])
    data = open_data(config.data)
    expected = evaluate_run(run, load(run.path), config.evaluate, data, Reporter()).metrics
    assert evaluate_on_data(load(run.path), config.evaluate, data, config.seed, "", Reporter()).metrics != expected
    assert {name: measured[f"validation/{name}"] for name in expected} == expected and len(expected) == 4


def test_large_images_are_compared_at_32_pixels(trained: Path) -> None:
    from vaegan.evaluate.metrics.memorisation import _get_pixels

    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = images.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5)).flatten(1)
    torch.testing.assert_close(_get_pixels(images), expected)
    assert torch.equal(_get_pixels(images[..., :32, :32]), images[..., :32, :32].flatten(1))


def test_on_the_training_images_there_are_no_held_out_ones(trained: Path, digits: Tensor) -> None:
    split = ImageSplit("train", to_images(digits[:40]))
    result = evaluate(trained, digits[:40], digits[:40], digits[:40], split)
    assert result.protocol["left_out"] == {"memorisation": "the evaluated images are the training images"}
    assert not result.metrics


def test_the_training_images_are_computed_once(trained, digits, tmp_path, monkeypatch) -> None:
    seen, whole = [], feature_extractors.ClassifierExtractor.__call__

    def count_calls(self: feature_extractors.ClassifierExtractor, images: Tensor) -> Tensor:
        seen.append(len(images))
        return whole(self, images)

    monkeypatch.setattr(feature_extractors.ClassifierExtractor, "__call__", count_calls)
    training, held_out = digits[:100], digits[200:220]
    results = []
    for fingerprint, images in (("a", 140), ("a", 40), ("b", 140)):
        seen.clear()
        split = to_split(held_out, fingerprint)
        results.append(evaluate(trained, held_out, held_out, training, split).metrics)
        assert sum(seen) == images
    assert results[0] == results[1] == results[2]
