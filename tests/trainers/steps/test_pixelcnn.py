"""A PixelCNN's run and that of the VQ-VAE under it."""

import shutil
from pathlib import Path

import pytest

from vaegan.cli.console import Console
from vaegan.config import load_study
from vaegan.data import Data, open_data
from vaegan.errors import UserError
from vaegan.evaluate.study import compare
from vaegan.trainers import train
from vaegan.trainers.steps import build_step

from ...tiny import VQVAE_SIZES, are_bit_identical, flatten, load_newest, tiny, train_vqvae_once

CODEC = "{family: vqvae, width: 8, " + ", ".join(f"{key}: {value}" for key, value in VQVAE_SIZES.items()) + "}"
STUDY = """
title: Codes
variants:
  vqvae: {recipe: vqvae.yaml}
  pixelcnn: {recipe: pixelcnn.yaml, prior: vqvae}
shared:
  train: {steps: 2, batch_size: 8, checkpoint_every: 1}
  evaluate: {metrics: [psnr, codebook], samples: 20}
  track: {wandb: disabled}
"""
"""A study of the two, with the recipes beside it."""


@pytest.fixture(scope="module")
def data() -> Data:
    return open_data(tiny("vqvae").data)


def test_a_prior_is_resumed_wherever_its_vqvae_lies_now(tmp_path: Path, data: Data) -> None:
    words = ("train.steps=4", "train.checkpoint_every=2")
    moved = shutil.copytree(train_vqvae_once(), tmp_path / "moved")
    whole = train(tiny("pixelcnn", *words), tmp_path / "whole", data)
    train(tiny("pixelcnn", "train.steps=2", *words[1:]), tmp_path / "parts", data)
    config = tiny("pixelcnn", *words, f"prior.autoencoder={moved}")
    parts = train(config, tmp_path / "parts", data, resume=True, extend=True)
    assert are_bit_identical(flatten(load_newest(whole.path)), flatten(load_newest(parts.path)))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_what_is_held_out_of_one_is_held_out_of_the_other(split: str) -> None:
    build_step(tiny("pixelcnn")).check_inputs()
    with pytest.raises(UserError, match=rf"was trained with data\.{split}=0\.1, not 0\.2, and may have seen") as caught:
        build_step(tiny("pixelcnn", f"data.{split}=0.2")).check_inputs()
    assert "\n" not in str(caught.value)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, model in (
        ("vqvae", CODEC),
        ("pixelcnn", "{family: pixelcnn, width: 8, depth: 1}"),
        ("vae", "{family: vae}"),
    ):
        Path(f"{name}.yaml").write_text(f"model: {model}\ndata: {{source: digits, image_size: 8, channels: 1}}\n")
    Path("study.yaml").write_text(STUDY)
    return Path("study.yaml")


def test_a_study_with_a_prior_is_finished_wherever_it_lies(study: Path) -> None:
    described, configs, _ = load_study(study)

    def training(config, folder, images, resume):
        return train(config, folder, images, resume=resume)

    def never(*_):
        raise AssertionError("trained again")

    comparison = compare(described, configs, Path("here"), training, Console(shown=False))
    assert "the training time of vqvae, beside that of its VQ-VAE" in comparison.describe_cost("pixelcnn", "vqvae")
    shutil.move("here", "there")
    again = compare(described, configs, Path("there"), never, Console(shown=False))
    assert again.get_spreads("pixelcnn")["rate"] == comparison.get_spreads("pixelcnn")["rate"]


def test_only_a_pixelcnn_stands_over_another_variant(study: Path) -> None:
    study.write_text(STUDY.replace("pixelcnn.yaml", "vae.yaml"))
    with pytest.raises(UserError, match="prior: only family pixelcnn takes it, not vae; leave it out"):
        load_study(study)
