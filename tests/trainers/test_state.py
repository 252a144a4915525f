"""Optimizers, weights and adaptive state go through a checkpoint unchanged."""

from pathlib import Path

import pytest

from vaegan.data import Data
from vaegan.trainers import train
from vaegan.trainers.accelerator import make_accelerator
from vaegan.trainers.state import build_state, restore
from vaegan.trainers.steps import build_step

from ..tiny import (
    are_bit_identical,
    flatten,
    load_newest,
    tiny,
)


def test_a_resumed_optimizer_is_laid_out_in_memory_as_before(tmp_path: Path, data: Data) -> None:
    config = tiny("vaegan3", "train.steps=1")
    accelerator = make_accelerator(config.train)
    state = build_state(config, build_step(config), accelerator)
    restore(state, load_newest(train(config, tmp_path / "run", data).path), accelerator)
    moments = [(parameter, kept) for adam in state.optimizers.values() for parameter, kept in adam.state.items()]
    assert len(moments) == sum(len(list(network.parameters())) for network in state.networks.values())
    for parameter, kept in moments:
        assert kept["exp_avg"].stride() == kept["exp_avg_sq"].stride() == parameter.stride()
    assert any(not parameter.is_contiguous() for parameter, _ in moments)


def test_rmsprop_goes_on_as_if_it_had_not_been_stopped(tmp_path: Path, data: Data) -> None:
    words = ("train.optimizer=rmsprop", "train.checkpoint_every=3")
    train(tiny("vaegan2", *words, "train.steps=6"), tmp_path / "whole", data)
    train(tiny("vaegan2", *words, "train.steps=3"), tmp_path / "parts", data)
    train(tiny("vaegan2", *words, "train.steps=6"), tmp_path / "parts", data, resume=True, extend=True)
    whole, parts = (flatten(load_newest(tmp_path / name)) for name in ("whole", "parts"))
    assert are_bit_identical(whole, parts)
    moments = {key.rpartition("/")[2] for key in whole if ".optimizer/" in key}
    assert moments == {"step", "square_avg"}


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_the_moments_of_a_scalar_parameter_are_resumed(optimizer: str, tmp_path: Path, data: Data) -> None:
    """Resume twice, in float64: the moments have the shape of the step count, which has a type of its own."""
    words = (f"train.optimizer={optimizer}", "train.dtype=float64", "model.learned_scale=true")
    train(tiny("vae", *words, "train.steps=6"), tmp_path / "whole", data)
    for steps in (2, 4, 6):
        config = tiny("vae", *words, f"train.steps={steps}")
        train(config, tmp_path / "parts", data, resume=True, extend=True)
    assert are_bit_identical(*(flatten(load_newest(tmp_path / name)) for name in ("whole", "parts")))
