"""The run of a prior over codes and that of the autoencoder under it."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from vaegan.cli.console import Console
from vaegan.code_scale import measure_code_moments
from vaegan.config import load_config, load_study
from vaegan.data import Data, open_data
from vaegan.errors import Failure, UserError
from vaegan.evaluate.study import compare
from vaegan.images import to_float
from vaegan.models import AE, Flow
from vaegan.storage.loading import load
from vaegan.trainers import train
from vaegan.trainers.steps import build_step

from ...tiny import VQVAE_SIZES, are_bit_identical, flatten, load_newest, tiny, train_once

AUTOENCODERS = {"pixelcnn": "vqvae", "flow": "vae"}
"""The autoencoder of each prior of `tiny`."""
MODELS = {
    "vqvae": "{family: vqvae, width: 8, " + ", ".join(f"{key}: {value}" for key, value in VQVAE_SIZES.items()) + "}",
    "pixelcnn": "{family: pixelcnn, width: 8, depth: 1}",
    "vae": "{family: vae, width: 8, latent_size: 4}",
    "flow": "{family: flow, width: 8, depth: 1, solver_steps: 2}",
}
STUDY = """
title: Codes
variants:
  codec: {recipe: CODEC.yaml}
  prior: {recipe: PRIOR.yaml, prior: codec}
shared:
  train: {steps: 2, batch_size: 8, checkpoint_every: 1}
  evaluate: {metrics: [psnr, codebook, sharpness], samples: 20}
  track: {wandb: disabled}
"""
"""A study of an autoencoder and its prior, with the recipes beside it."""


@pytest.fixture(scope="module")
def data() -> Data:
    return open_data(tiny("vqvae").data)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_a_prior_is_resumed_wherever_its_autoencoder_lies_now(name: str, tmp_path: Path, data: Data) -> None:
    words = ("train.steps=4", "train.checkpoint_every=2")
    moved = shutil.copytree(train_once(AUTOENCODERS[name]), tmp_path / "moved")
    whole = train(tiny(name, *words), tmp_path / "whole", data)
    train(tiny(name, "train.steps=2", *words[1:]), tmp_path / "parts", data)
    config = tiny(name, *words, f"prior.autoencoder={moved}")
    parts = train(config, tmp_path / "parts", data, resume=True, extend=True)
    assert are_bit_identical(flatten(load_newest(whole.path)), flatten(load_newest(parts.path)))


@pytest.mark.parametrize("name", AUTOENCODERS)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_what_is_held_out_of_one_is_held_out_of_the_other(split: str, name: str) -> None:
    build_step(tiny(name)).check_inputs()
    with pytest.raises(UserError, match=rf"was trained with data\.{split}=0\.1, not 0\.2, and may have seen") as caught:
        build_step(tiny(name, f"data.{split}=0.2")).check_inputs()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_a_run_that_a_prior_cannot_stand_over_is_one_line(name: str, tmp_path: Path) -> None:
    def refuse(*words: str) -> str:
        with pytest.raises(UserError) as caught:
            build_step(tiny(name, *words)).check_inputs()
        assert "\n" not in str(caught.value) and str(caught.value).startswith("prior.autoencoder: ")
        return str(caught.value)

    unfinished = shutil.copytree(train_once(AUTOENCODERS[name]), tmp_path / "unfinished")
    config = unfinished / "config.yaml"
    config.write_text(config.read_text().replace("\n  steps: 5\n", "\n  steps: 9\n"))
    assert "unfinished: has 5 of 9 steps; finish it with `vaegan train ... --resume`" in refuse(
        f"prior.autoencoder={unfinished}"
    )
    assert "gone" in refuse(f"prior.autoencoder={tmp_path / 'gone'}")
    assert "is for images of 1x8x8, not 1x16x16" in refuse("data.image_size=16")
    assert f"another {'VQ-VAE' if name == 'pixelcnn' else 'autoencoder'} than model.autoencoder says" in refuse(
        "model.autoencoder.width=16"
    )
    other = train_once("ae" if name == "pixelcnn" else "vqvae")
    assert f"the run of family {other.name}; allowed: " in refuse(f"prior.autoencoder={other}")


def test_the_run_of_another_family_gives_no_config(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(f"model: {MODELS['flow']}\ndata: {{source: digits, image_size: 8, channels: 1}}\n")
    words = ["train.steps=1", f"prior.autoencoder={train_once('vqvae')}"]
    with pytest.raises(UserError, match=r'model\.family is "vqvae"; name the run of an ae \| vae \| vaegan \| larsen'):
        load_config(file, words)
    with pytest.raises(UserError, match="name that of the finished autoencoder"):
        load_config(file, ["train.steps=1", f"prior.autoencoder={tmp_path}"])
    with pytest.raises(UserError, match=r"prior\.autoencoder: missing; it names the run folder of the autoencoder"):
        load_config(file, words[:1])


def test_codes_are_standardised_by_the_moments_of_those_of_training_images(tmp_path: Path, data: Data) -> None:
    autoencoder, words = train_once("ae"), ("model.width=8", "train.steps=1")
    model = load(autoencoder)
    tree = tiny("flow", *words).model_dump(mode="json") | {"prior": {"autoencoder": str(autoencoder)}}
    tree["model"] |= {"autoencoder": model.config.model_dump(mode="json")}
    flow = load(train(load_config(tree), tmp_path / "flow", data).path)
    assert isinstance(flow, Flow) and are_bit_identical(flow.autoencoder.state_dict(), model.state_dict())
    codes = model.encode(to_float(data.train[data.train.select_evenly(1024)])).mean
    torch.testing.assert_close(flow.mean, codes.mean(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(flow.scale, codes.std(0), rtol=1e-5, atol=1e-6)
    standardised = flow.standardise(codes)
    assert standardised.mean(0).abs().max() < 1e-5 and (standardised.std(0) - 1).abs().max() < 1e-5


def test_codes_that_cannot_be_standardised_are_one_line(data: Data) -> None:
    model = AE(image_shape=(1, 8, 8), width=8, latent_size=3).eval().requires_grad_(False)
    for weight in model.encoder.parameters():
        nn.init.zeros_(weight)
    head = [each for each in model.encoder.modules() if isinstance(each, nn.Linear)][-1]
    with pytest.raises(UserError, match=r"^the codes of all training images are the same"):
        measure_code_moments(model, data.train, 0)
    nn.init.constant_(head.bias, torch.inf)
    with pytest.raises(Failure, match=r"^the codes of the training images are not finite"):
        measure_code_moments(model, data.train, 0)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, model in MODELS.items():
        Path(f"{name}.yaml").write_text(f"model: {model}\ndata: {{source: digits, image_size: 8, channels: 1}}\n")
    return Path("study.yaml")


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_a_study_with_a_prior_is_finished_wherever_it_lies(name: str, study: Path) -> None:
    study.write_text(STUDY.replace("CODEC", AUTOENCODERS[name]).replace("PRIOR", name))
    described, configs, _ = load_study(study)

    def training(config, folder, images, resume):
        return train(config, folder, images, resume=resume)

    def never(*_):
        raise AssertionError("trained again")

    comparison = compare(described, configs, Path("here"), training, Console(shown=False))
    kind = "VQ-VAE" if name == "pixelcnn" else "autoencoder"
    assert f"the training time of codec, beside that of its {kind}" in comparison.describe_cost("prior", "codec")
    assert comparison.unmatched == []
    shutil.move("here", "there")
    again = compare(described, configs, Path("there"), never, Console(shown=False))
    key = "rate" if name == "pixelcnn" else "sample/spectrum_error"
    assert again.get_spreads("prior")[key] == comparison.get_spreads("prior")[key]


def test_only_a_prior_stands_over_another_variant_of_its_families(study: Path) -> None:
    study.write_text(STUDY.replace("CODEC", "vqvae").replace("PRIOR", "vae"))
    with pytest.raises(UserError, match="prior: only families pixelcnn and flow take it, not vae; leave it out"):
        load_study(study)
    study.write_text(STUDY.replace("CODEC", "vqvae").replace("PRIOR", "flow"))
    with pytest.raises(UserError, match=r"prior: codec: no variant of family ae \| vae \| vaegan \| larsen \| ganvae"):
        load_study(study)
