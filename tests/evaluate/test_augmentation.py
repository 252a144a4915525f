"""The classifiers of `augmentation` are those that anyone would train on the same images."""

from pathlib import Path

import pytest
import torch

from vaegan.config.load import merge, validate_config
from vaegan.config.schema import Config
from vaegan.config.study_schema import StudyConfig
from vaegan.data import Data, Images, open_data
from vaegan.errors import UserError
from vaegan.evaluate.classifier_evaluation import evaluate_classifier
from vaegan.evaluate.metrics.build import check_metrics
from vaegan.evaluate.one_pass import ImageSplit
from vaegan.evaluate.run_evaluation import evaluate_run
from vaegan.evaluate.study import compare
from vaegan.images import to_uint8
from vaegan.progress import Reporter
from vaegan.storage.loading import load, load_classifier
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ..tiny import tiny

ALONE = ("evaluate.metrics=[augmentation]", "evaluate.batch_size=1000", "train.steps=3", "model.network=mlp")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return tiny("classifier", "seed=3", "train.steps=40", "data.horizontal_flip=false")


def train_again(config: Config, folder: Path, data: Data, resume: bool) -> Run:
    return train(config, folder, data, resume=resume)


def make_config(classifier: Run, *words: str) -> Config:
    tree = merge(tiny("vae", *ALONE, *words).model_dump(mode="json"), {"evaluate": {"features": str(classifier.path)}})
    return validate_config(Config, tree, "")


def test_accuracies_are_those_of_classifiers_trained_by_hand(classifier: Config, tmp_path: Path) -> None:
    data = open_data(classifier.data)
    network = train(classifier, tmp_path / "features", data)
    config = make_config(network, "model.labels=10")
    run = train(config, tmp_path / "run", data)
    model = load(run.path)
    result = evaluate_run(run, model, config.evaluate, data, Reporter(), train=train_again)
    assert data.train.labels is not None
    count = len(data.train)
    with torch.no_grad():
        drawn = to_uint8(model.sample(count, seed=config.seed))
    real, labels = data.train[torch.arange(count)], torch.arange(count) % 10
    sets = {
        "real": (real, data.train.labels),
        "generated": (drawn, labels),
        "both": (torch.cat([real, drawn]), torch.cat([data.train.labels, labels])),
    }
    for name, (pixels, classes) in sets.items():
        images = Images(pixels, torch.arange(len(pixels)), classes, data.classes)
        others = Data(images, data.validation, data.test, data.classes, name)
        of_seed = classifier.model_copy(update={"seed": config.seed})
        trained = load_classifier(train(of_seed, tmp_path / name, others).path)
        expected = evaluate_classifier(trained, ImageSplit("test", data.test), config.evaluate, seed=0)
        assert result.metrics[f"augmentation/{name}"] == expected.metrics["accuracy"], name
        assert torch.equal(result.scores[f"augmentation/{name}"], expected.scores["accuracy"])
    assert result.metrics["augmentation/real"] > result.metrics["augmentation/generated"]
    assert len(set(result.metrics.values())) == 3


def test_finished_classifiers_are_kept_and_those_of_other_weights_are_not(classifier: Config, tmp_path: Path) -> None:
    data, calls = open_data(classifier.data), list[str]()
    network = train(classifier, tmp_path / "features", data)
    config = make_config(network, "model.labels=10")

    def count(config: Config, folder: Path, data: Data, resume: bool) -> Run:
        calls.append(folder.name.partition("-")[0])
        return train_again(config, folder, data, resume)

    def evaluate() -> dict[str, float]:
        run = train(config, tmp_path / "run", data, resume=True)
        return evaluate_run(run, load(run.path), config.evaluate, data, Reporter(), force=True, train=count).metrics

    first = evaluate()
    assert calls == ["real", "generated", "both"] and evaluate() == first and len(calls) == 3
    config = make_config(network, "model.labels=10", "train.steps=9")
    train(config, tmp_path / "run", data, resume=True, extend=True)
    assert evaluate() != first and calls[3:] == ["generated", "both"]


def test_classifiers_of_other_settings_or_images_lie_beside_those_that_are_there(
    classifier: Config, tmp_path: Path
) -> None:
    data = open_data(classifier.data)
    config = make_config(train(classifier, tmp_path / "features", data), "model.labels=10")
    run = train(config, tmp_path / "run", data)
    first = evaluate_run(run, load(run.path), config.evaluate, data, Reporter(), train=train_again)
    shorter = train(tiny("classifier", "train.steps=30", "data.horizontal_flip=false"), tmp_path / "shorter", data)
    other = make_config(shorter, "model.labels=10").evaluate
    second = evaluate_run(run, load(run.path), other, data, Reporter(), force=True, train=train_again)
    assert second.metrics["augmentation/real"] != first.metrics["augmentation/real"]
    fewer = open_data(classifier.data.model_copy(update={"test": 0.5}))
    third = evaluate_run(run, load(run.path), other, fewer, Reporter(), force=True, train=train_again)
    assert third.metrics["augmentation/real"] != second.metrics["augmentation/real"]
    steps = sorted(Run(folder).config.train.steps for folder in (run.path / "augmentation").iterdir())
    assert steps == [30] * 6 + [40] * 3
    assert third.protocol["augmentation"]["classifiers_as"] == "shorter"


def test_a_study_trains_the_classifier_of_real_images_once(classifier: Config, tmp_path: Path) -> None:
    configs = {"by-class": tiny("vae", *ALONE, "model.labels=10"), "without": tiny("vae", *ALONE)}
    study = StudyConfig.model_validate(
        {"title": "x", "variants": {name: {"recipe": "x"} for name in configs}, "seeds": [0]}
    )
    notes, trained = list[str](), list[Path]()

    class Notes(Reporter):
        def note(self, text: str) -> None:
            notes.append(text)

        def note_once(self, text: str) -> None:
            notes.append(text)

    def count(config: Config, folder: Path, data: Data, resume: bool) -> Run:
        trained.append(folder.relative_to(tmp_path))
        return train_again(config, folder, data, resume)

    comparison = compare(study, configs, tmp_path, count, Notes(), features=("net", classifier))
    assert comparison is not None and Path("augmentation/seed_0") in trained
    metrics = {name: runs[0].metrics for name, runs in comparison.runs.items()}
    assert {"augmentation/real", "augmentation/generated", "augmentation/both"} <= metrics["by-class"].keys()
    assert not any(key.startswith("augmentation") for key in metrics["without"])
    assert any("augmentation" in note and "the model is unconditional" in note for note in notes)
    assert "Accuracy of a classifier" in (tmp_path / "report.html").read_text()


def test_the_images_that_classifiers_learn_from_do_not_judge_them(classifier: Config, tmp_path: Path) -> None:
    data = open_data(classifier.data)
    config = make_config(train(classifier, tmp_path / "features", data), "model.labels=10", "evaluate.split=train")
    run = train(config, tmp_path / "run", data)
    result = evaluate_run(run, load(run.path), config.evaluate, data, Reporter(), train=train_again)
    assert result.protocol["left_out"] == {"augmentation": "the evaluated images are the training images"}
    assert not result.metrics and not (run.path / "augmentation").exists()


def test_features_that_are_no_classifier_s_are_refused(tmp_path: Path) -> None:
    for features in ("inception", str(tmp_path)):
        config = tiny("vae", "evaluate.metrics=[augmentation]", f"evaluate.features={features}")
        with pytest.raises(UserError, match="as that of this run was trained; name one of `vaegan train-features`"):
            check_metrics(config)
