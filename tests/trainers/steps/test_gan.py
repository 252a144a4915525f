"""The trained classifier under a discriminator: where its weights come from, that they stay, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import vaegan
from vaegan.config import dump_config
from vaegan.config.load import load_config
from vaegan.data import open_data
from vaegan.errors import UserError
from vaegan.io import hash_file
from vaegan.networks.build import build_discriminator
from vaegan.networks.discriminator import ProjectedDiscriminator
from vaegan.storage.loading import load_classifier, load_discriminator
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ...tiny import are_bit_identical, flatten, load_newest, tiny, train_once

LAYERS = "model.discriminator.projected_layers=[1,2]"


def train_tiny(folder: Path, *words: str) -> Run:
    config = tiny("vaegan3", LAYERS, *words)
    return train(config, folder, open_data(config.data))


def test_the_classifier_is_that_of_the_run_and_stays_so(tmp_path: Path) -> None:
    run = train_tiny(tmp_path / "run", "model.discriminator.spectral_norm=true")
    discriminator = load_discriminator(run, print)
    assert isinstance(discriminator, ProjectedDiscriminator)
    trained = load_classifier(train_once("classifier")).trunk
    assert are_bit_identical(discriminator.classifier.state_dict(), trained.state_dict())
    images = torch.rand(3, 1, 8, 8) * 2 - 1
    features = trained(images)
    scores = discriminator(images).scores
    assert scores.shape == (3, 3, 3)
    for number, inputs in enumerate([images, *features[:2]]):
        alone = discriminator.members[number](inputs).scores
        torch.testing.assert_close(scores[:, :, number], alone)
        others = [scores[:, :, other] for other in range(3) if other != number]
        assert not any(torch.allclose(alone, each) for each in others)


def test_scores_and_confusion_are_of_every_discriminator(tmp_path: Path) -> None:
    run = train_tiny(tmp_path / "run")
    result = vaegan.evaluate_run(run.path, metrics=["confusion"], samples=30)
    assert [sum(row) for row in result.matrices["discriminator/confusion"]] == [90, 90, 90]
    assert result.protocol["confusion"]["counts"] == "images, by each of 3 discriminators"
    line = json.loads(run.history_file.read_text().splitlines()[-1])
    assert 0 < line["discriminator/accuracy"] < 1


def test_a_run_goes_on_by_its_own_config_without_the_classifier(tmp_path: Path) -> None:
    classifier = tmp_path / "classifier"
    shutil.copytree(train_once("classifier"), classifier)
    (tmp_path / "recipe.yaml").write_text(dump_config(tiny("vaegan3")))
    words = [LAYERS, f"train.discriminator_features={classifier}"]
    run = vaegan.train(load_config(tmp_path / "recipe.yaml", words), output=tmp_path / "run", progress=False)
    shutil.rmtree(classifier)
    with pytest.raises(
        UserError, match=r"or go on with a run that has its weights by `vaegan train RUN/config\.yaml --"
    ):
        load_config(tmp_path / "recipe.yaml", words)
    settings = {"train.steps": run.config.train.steps + 2}
    resumed = vaegan.train(
        run.path / "config.yaml", settings, output=run.path, resume=True, extend=True, progress=False
    )
    assert resumed.config.train.steps == load_newest(run.path).step == settings["train.steps"]


def test_a_classifier_that_does_not_fit_is_refused_in_one_line(tmp_path: Path) -> None:
    config = tiny("vaegan3", LAYERS)
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(config))

    def refuse(*words: str) -> str:
        changed = load_config(file, words)
        with pytest.raises(UserError) as caught:
            train(changed, tmp_path / "run", open_data(changed.data))
        assert str(caught.value).startswith("train.discriminator_features: ") and "\n" not in str(caught.value)
        assert not (tmp_path / "run").exists()
        return str(caught.value)

    name = "train.discriminator_features"
    assert "gone" in refuse(f"{name}={tmp_path / 'gone'}")
    assert "the run of a VAE, no Classifier" in refuse(f"{name}={train_once('vae')}")
    assert "for images of 1x8x8, not 1x16x16" in refuse("data.image_size=16")
    assert "another classifier than" in refuse("model.discriminator.classifier.depth=2")
    unfinished = tiny("classifier", "train.steps=2")
    path = train(unfinished, tmp_path / "unfinished", open_data(unfinished.data)).path
    (path / "config.yaml").write_text(dump_config(tiny("classifier", "train.steps=3")))
    assert "is not finished" in refuse(f"{name}={path}")


def test_a_run_goes_on_where_its_classifier_is_elsewhere_or_gone(tmp_path: Path) -> None:
    whole = train_tiny(tmp_path / "whole", "train.steps=4")
    copied = Path(shutil.copytree(train_once("classifier"), tmp_path / "copied"))
    half = train_tiny(tmp_path / "half", "train.steps=2", f"train.discriminator_features={copied}")
    gone = load_config(half.path / "config.yaml", ["train.steps=4"])
    shutil.rmtree(copied)
    elsewhere = tiny("vaegan3", LAYERS, "train.steps=3")
    data = open_data(elsewhere.data)
    train(elsewhere, half.path, data, resume=True, extend=True)
    resumed = train(gone, half.path, data, resume=True, extend=True)
    assert are_bit_identical(flatten(load_newest(whole.path)), flatten(load_newest(resumed.path)))
    digest = hash_file(train_once("classifier") / "model" / "model.safetensors")
    assert resumed.config.train.discriminator_features_sha256 == digest


def test_other_weights_than_the_recorded_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"are not those of train\.discriminator_features_sha256; restore them"):
        train_tiny(tmp_path / "run", f"train.discriminator_features_sha256={'0' * 64}")
    recorded = tiny("vaegan3", LAYERS, f"train.discriminator_features_sha256={'0' * 64}")
    gone = {"train": recorded.train.model_copy(update={"discriminator_features": tmp_path / "gone"})}
    with pytest.raises(UserError, match="gone: not a run folder"):
        train(recorded.model_copy(update=gone), tmp_path / "new", open_data(recorded.data))
    with pytest.raises(UserError, match=r"discriminator_features_sha256: belongs to train\.discriminator_features"):
        tiny("vae", f"train.discriminator_features_sha256={'0' * 64}")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([LAYERS], "a classifier, and layers of it as model.discriminator.projected_layers, belong together"),
        (["train.discriminator_features=VAE", LAYERS], 'model.family is "vae", not classifier'),
        (["train.discriminator_features=gone", LAYERS], "gone: not a run folder"),
        (["train.discriminator_features=CLASSIFIER"], "no layer of it is used"),
        (["train.discriminator_features=CLASSIFIER", LAYERS.replace("1,2", "2,1")], "not in rising order"),
        (["train.discriminator_features=CLASSIFIER", LAYERS, "model.discriminator.network=patch"], "network: patch"),
        (["train.discriminator_features=CLASSIFIER", LAYERS, "model.discriminator.packing=2"], "packing: 2"),
        (
            ["train.discriminator_features=CLASSIFIER", LAYERS, "evaluate.features=CLASSIFIER"],
            "evaluate.features: is what the discriminator is trained on",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused_in_one_line(words: list[str], problem: str, tmp_path: Path) -> None:
    paths = {"CLASSIFIER": str(train_once("classifier")), "VAE": str(train_once("vae"))}
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(tiny("vaegan3")))
    for name, path in paths.items():
        words = [word.replace(f"={name}", f"={path}") for word in words]
    with pytest.raises(UserError) as caught:
        load_config(file, words)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_a_layer_beyond_the_last_one_is_named() -> None:
    config = tiny("vaegan3", "model.discriminator.projected_layers=[3]")
    with pytest.raises(UserError, match=r"projected_layers: 3 is beyond the last one of the classifier, 2"):
        build_discriminator(config.model, config.data.image_shape, 0)


def test_the_features_of_the_discriminator_judge_no_model(tmp_path: Path) -> None:
    run = train_tiny(tmp_path / "run")
    copied = tmp_path / "copied"
    shutil.copytree(train_once("classifier"), copied)
    with pytest.raises(UserError, match="is what the discriminator was trained on"):
        vaegan.evaluate_run(run.path, metrics=["frechet"], features=str(copied))
