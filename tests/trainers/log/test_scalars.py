"""The scalars of a line of the history."""

import json
from pathlib import Path

import pytest
import torch

from vaegan.data import Data
from vaegan.storage.run_folder import Run
from vaegan.trainers import train
from vaegan.trainers.accelerator import make_accelerator
from vaegan.trainers.log import scalars
from vaegan.trainers.meter import Meter
from vaegan.trainers.state import build_state
from vaegan.trainers.steps import build_step

from ...tiny import tiny


def read_history(run: Run) -> list[dict[str, object]]:
    return [json.loads(line) for line in run.history_file.read_text().splitlines()]


def test_lines_are_means_over_their_interval(tmp_path: Path, data: Data) -> None:
    words = ("train.steps=6", "train.batch_size=4", "train.micro_batch_size=2")
    single = read_history(train(tiny("vaegan3", *words, "train.log_every=1"), tmp_path / "single", data))
    grouped = read_history(train(tiny("vaegan3", *words, "train.log_every=5"), tmp_path / "grouped", data))
    assert [line["step"] for line in grouped] == [1, 5, 6]
    middle, means = single[1:5], grouped[1]
    for key in ("loss/reconstruction", "loss/kl", "loss/negative_elbo", "loss/adversarial", "loss/discriminator"):
        assert means[key] == pytest.approx(sum(line[key] for line in middle) / 4, rel=1e-12)
    penalties = [line["loss/r1"] for line in middle if "loss/r1" in line]
    assert len(penalties) == 2  # every other step has one
    assert means["loss/r1"] == pytest.approx(sum(penalties) / 2, rel=1e-12)
    counts = sum(torch.tensor(line["discriminator/confusion"]) for line in middle)
    assert torch.equal(torch.tensor(means["discriminator/confusion"]), counts)
    accuracy = (counts.diagonal() / counts.sum(1)).mean().item()
    assert means["discriminator/accuracy"] == pytest.approx(accuracy)
    for key in ("gap/mmd2", "gradient/autoencoder", "learning_rate/autoencoder"):
        assert means[key] == middle[-1][key]  # of the step itself


def test_a_batch_of_one_image_trains(tmp_path: Path, data: Data) -> None:
    lines = read_history(train(tiny("vaegan3", "train.batch_size=1", "train.steps=2"), tmp_path / "run", data))
    assert "gap/mmd2" not in lines[0] and "loss/kl" in lines[0]  # one code has no spread


def test_the_prior_gap_is_computed_on_the_device_from_a_bounded_number_of_codes(monkeypatch) -> None:
    given = []

    def record(*sets: torch.Tensor) -> torch.Tensor:
        given.extend((codes.device.type, len(codes)) for codes in sets)
        return torch.zeros(())

    config = tiny("vae")
    state = build_state(config, build_step(config), make_accelerator(config.train))
    with monkeypatch.context() as patched:
        for name in ("mmd_imq", "frechet_standard_normal"):
            patched.setattr(scalars, name, record)
        scalars.compute_scalars(config, state, Meter(), {}, torch.zeros(1000, 4, device="meta"))
    assert given == [("meta", 512)] * 3
    codes = torch.randn(600, 4, generator=torch.Generator().manual_seed(0))
    gaps = [scalars.compute_scalars(config, state, Meter(), {}, some) for some in (codes, codes[:512])]
    assert gaps[0] == gaps[1] and gaps[0]["gap/frechet"] > 0
