"""A frozen part keeps its bits, and the rest is trained as ever."""

from pathlib import Path

import pytest
import torch

from vaegan.data import open_data
from vaegan.errors import UserError
from vaegan.models import build_model
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ..tiny import (
    ADVERSARIES,
    FAMILY_OPTIONS,
    GRIDS,
    VECTORS,
    are_bit_identical,
    flatten,
    load_newest,
    tiny,
    tiny_diffusers,
)

ADAPTIVE = ("vaegan3", "vaegan1-grid")
"""Families whose options are adaptive, which needs the decoder's gradient."""


def check_frozen(run: Run, part: str, other: str) -> None:
    """Check that one part of a run is as it was built, averaged or not, and that the other is not."""
    config = run.config
    start = build_model(config.model, config.data.image_shape, config.seed).state_dict()
    tensors = flatten(load_newest(run.path))
    ends = {
        "current": {name: tensors[f"autoencoder/{name}"] for name in start},
        "average": {name: tensors[f"average/{name}"] for name in start},
        "exported": load(run.path).state_dict(),
    }
    for weights in ends.values():
        for each, is_frozen in ((part, True), (other, False)):
            names = [name for name in start if name.startswith(f"{each}.")]
            same = [torch.equal(start[name], weights[name]) for name in names]
            assert names and (all(same) if is_frozen else not any(same))
    moments = [key for key in tensors if key.startswith("autoencoder.optimizer/")]
    assert moments and not any(key.startswith(f"autoencoder.optimizer/{part}.") for key in moments)


@pytest.mark.parametrize("name", dict.fromkeys((*VECTORS, *GRIDS)))
def test_a_frozen_encoder_keeps_its_bits_under_every_loss(name: str, tmp_path: Path) -> None:
    config = tiny(name, *FAMILY_OPTIONS.get(name, ()), "train.steps=3", "train.freeze=[encoder]", "train.ema_decay=0.6")
    check_frozen(train(config, tmp_path / "run", open_data(config.data)), "encoder", "decoder")


@pytest.mark.parametrize("name", [name for name in ("ae", "vae", *ADVERSARIES) if name not in ADAPTIVE])
def test_a_frozen_decoder_keeps_its_bits(name: str, tmp_path: Path) -> None:
    config = tiny(name, *FAMILY_OPTIONS.get(name, ()), "train.steps=3", "train.freeze=[decoder]", "train.ema_decay=0.6")
    check_frozen(train(config, tmp_path / "run", open_data(config.data)), "decoder", "encoder")


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_the_convolutions_beside_the_codes_belong_to_their_part(part: str, tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    config = tiny_diffusers("vaegan", "AutoencoderKL", "train.steps=2", f"train.freeze=[{part}]")
    run = train(config, tmp_path / "run", open_data(config.data))
    check_frozen(run, part, {"encoder": "decoder", "decoder": "encoder"}[part])
    names = {"encoder": "encoder.quant_conv.weight", "decoder": "decoder.post_quant_conv.weight"}
    assert names[part] in load(run.path).state_dict()


def test_a_resumed_training_with_a_frozen_encoder_ends_like_a_whole_one(tmp_path: Path) -> None:
    words = (*FAMILY_OPTIONS["vaegan1-grid"], "train.freeze=[encoder]")
    config, half = (tiny("vaegan1-grid", *words, f"train.steps={steps}") for steps in (4, 2))
    data = open_data(config.data)
    whole = train(config, tmp_path / "whole", data)
    train(half, tmp_path / "half", data)
    resumed = train(config, tmp_path / "half", data, resume=True, extend=True)
    assert are_bit_identical(flatten(load_newest(whole.path)), flatten(load_newest(resumed.path)))
    thawed = tiny("vaegan1-grid", *FAMILY_OPTIONS["vaegan1-grid"], "train.steps=4")
    with pytest.raises(UserError, match=r"train\.freeze"):
        train(thawed, tmp_path / "half", data, resume=True)


@pytest.mark.parametrize(
    ("name", "words", "reason"),
    [
        ("vae", ["train.freeze=[encoder, decoder]"], "train.freeze: nothing is left to train"),
        ("vqvae", ["train.freeze=[encoder]"], "train.freeze: vqvae has no"),
        ("classifier", ["train.init=runs/other"], "train.init: classifier has no"),
        ("vae", ["train.init=hf://owner"], "allowed: hf://owner/name"),
        ("vae", ["train.init=hf://owner/../name"], "allowed: hf://owner/name"),
        ("vae", ["train.freeze=[scale]"], "allowed: encoder | decoder"),
        ("vaegan3", ["train.freeze=[decoder]", "model.adversarial.adaptive=[0.1, 10]"], "last layer"),
    ],
)
def test_what_cannot_be_trained_is_refused(name: str, words: list[str], reason: str) -> None:
    with pytest.raises(UserError) as raised:
        tiny(name, *words)
    assert reason in str(raised.value) and "\n" not in str(raised.value)
