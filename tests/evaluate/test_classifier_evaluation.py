"""The metrics of a classifier, against the same from its logits in NumPy."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vaegan.config.schema import EvaluateConfig
from vaegan.data import Data, Images, open_data
from vaegan.errors import Failure, UserError
from vaegan.evaluate.classifier_evaluation import evaluate_classifier, evaluate_classifier_splits
from vaegan.evaluate.model_evaluation import EvaluationResult
from vaegan.evaluate.one_pass import ImageSplit
from vaegan.images import to_float
from vaegan.models import Classifier, build_model
from vaegan.storage.loading import load_classifier
from vaegan.trainers import train

from ..tiny import tiny


@pytest.fixture(scope="module")
def data() -> Data:
    return open_data(tiny("classifier").data)


@pytest.fixture(scope="module")
def model(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """Trained for a moment, so that it is right now and then."""
    config = tiny("classifier", "train.steps=30", "train.batch_size=32")
    return load_classifier(train(config, tmp_path_factory.mktemp("run"), data).path)


def evaluate(model: Classifier, images: Images, **settings: Any) -> EvaluationResult:
    return evaluate_classifier(model, ImageSplit("test", images), EvaluateConfig(**settings), seed=3)


def compute_expected_metrics(model: Classifier, images: Images, chosen: NDArray[np.int64]) -> dict[str, float]:
    x = to_float(torch.stack([images[torch.tensor([index])][0] for index in chosen.tolist()]))
    logits, labels = model(x).numpy().astype(np.float64), images.labels.numpy()[chosen]
    exponentials = np.exp(logits)
    probabilities = exponentials[np.arange(len(chosen)), labels] / exponentials.sum(1)
    return {
        "accuracy": float(np.mean([row.tolist().index(max(row)) for row in logits] == labels)),
        "cross_entropy": float(-np.log(probabilities).mean()),
    }


def test_metrics_and_protocol(model: Classifier, data: Data) -> None:
    evaluation = evaluate(model, data.test, batch_size=50)
    expected = compute_expected_metrics(model, data.test, np.arange(len(data.test)))
    assert evaluation.metrics == pytest.approx(expected, rel=1e-6) and 0.15 < expected["accuracy"] < 1
    protocol = {
        "split": "test", "images": 180, "of": 180, "subset": "even distances", "resolution": 8, "channels": 1,
        "classes": 10, "seed": 3, "batch_size": 50, "dtype": "float32", "arithmetic": "float32, without TF32",
        "device": "cpu", "versions": evaluation.protocol["versions"],
    }  # fmt: skip
    assert evaluation.protocol == protocol and "torch" in evaluation.protocol["versions"] and evaluation.curves == {}


def test_fewer_images_are_taken_at_even_distances(model: Classifier, data: Data) -> None:
    evaluation = evaluate(model, data.test, samples=45)
    assert evaluation.metrics == pytest.approx(
        compute_expected_metrics(model, data.test, np.arange(0, 180, 4)), rel=1e-6
    )
    assert (evaluation.protocol["images"], evaluation.protocol["of"]) == (45, 180)


def test_the_batch_size_changes_nothing_but_rounding(model: Classifier, data: Data) -> None:
    small, large = (evaluate(model, data.test, batch_size=size).metrics for size in (7, 180))
    assert small == pytest.approx(large, rel=1e-6)


def test_a_guess_is_worth_a_guess(data: Data) -> None:
    """Logits that are all the same: the first class is taken, at the cost of log 10 nats."""
    model = build_model(tiny("classifier").model, (1, 8, 8), 0)
    torch.nn.init.zeros_(model.head.weight)
    evaluation = evaluate(model, data.train).metrics
    assert evaluation["cross_entropy"] == pytest.approx(math.log(10), rel=1e-12)
    assert evaluation["accuracy"] == (data.train.labels == 0).double().mean().item()


def test_both_splits_are_evaluated_and_the_progress_is_one(model: Classifier, data: Data) -> None:
    steps: list[tuple[int, int]] = []
    config = EvaluateConfig(split="validation", batch_size=500)
    evaluation = evaluate_classifier_splits(model, data, config, seed=3, progress=lambda *step: steps.append(step))
    evaluations = {
        split: evaluate_classifier(model, ImageSplit(split, images), config, seed=3)
        for split, images in (("validation", data.validation), ("train", data.train))
    }
    assert evaluation.protocol == {split: one.protocol for split, one in evaluations.items()}
    assert evaluation.metrics == {
        f"{split}/{name}": value for split, one in evaluations.items() for name, value in one.metrics.items()
    }
    assert steps == [(180, 1617), (680, 1617), (1180, 1617), (1617, 1617)]
    assert evaluate_classifier_splits(model, data, EvaluateConfig(split="train"), seed=3).protocol.keys() == {"train"}


def test_the_mode_is_left_as_it_was(model: Classifier, data: Data) -> None:
    assert evaluate(model.train(), data.test).metrics == evaluate(model.eval(), data.test).metrics
    evaluate(model.train(), data.test, samples=1)
    assert model.training


def test_answers_that_are_not_finite_are_a_failure(data: Data) -> None:
    model = build_model(tiny("classifier").model, (1, 8, 8), 0)
    torch.nn.init.constant_(model.head.bias, torch.nan)
    with pytest.raises(Failure, match="not finite"):
        evaluate(model, data.test)


def test_images_without_the_labels_it_knows_are_a_user_error(model: Classifier, data: Data) -> None:
    test = data.test
    with pytest.raises(UserError, match=r"^data\.source: these images have no labels"):
        evaluate(model, Images(test.store, test.indices, None, ()))
    with pytest.raises(UserError, match=r"^model\.classes: 10, but the images of data\.source have 11 classes; "):
        evaluate(model, Images(test.store, test.indices, test.labels, (*test.classes, "ten")))
