"""The networks of diffusers: two processes, micro-batches and a resume give the weights of one training."""

from pathlib import Path

import pytest

from vaegan.config import dump_config
from vaegan.config.schema import Config
from vaegan.data import open_data
from vaegan.trainers import train

from ..tiny import are_bit_identical, find_largest_difference, flatten, load_newest, tiny
from .pool import Pool


def make_config(*options: str) -> Config:
    words = (
        "train.steps=4", "train.checkpoint_every=2", "train.ema_decay=0.9", "train.dtype=float64",
        "train.learning_rate=0.01", "model.likelihood=laplace", "model.adversarial.loss=hinge",
        "model.adversarial.adaptive=[0.01,100]",
    )  # fmt: skip
    return tiny("vaegan1-diffusers", *words, *options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    config = make_config()
    return train(config, tmp_path_factory.mktemp("whole") / "run", open_data(config.data)).path


def test_every_division_of_the_batch_trains_the_same_weights(whole: Path, pool: Pool, tmp_path: Path) -> None:
    (file := tmp_path / "config.yaml").write_text(dump_config(make_config()))
    pool.run(2, "train", config=str(file), folder=str(tmp_path / "processes"))
    config = make_config("train.micro_batch_size=4")
    train(config, tmp_path / "micro-batches", open_data(config.data))
    expected = flatten(load_newest(whole))
    assert load_newest(whole).step == 4
    for division in ("processes", "micro-batches"):
        result = flatten(load_newest(tmp_path / division))
        weights = [{key: value for key, value in each.items() if "optimizer" not in key} for each in (expected, result)]
        difference, key = find_largest_difference(*weights)
        assert 0 < difference < 1e-9, key


def test_a_resume_ends_with_the_same_bits(whole: Path) -> None:
    before, config = flatten(load_newest(whole)), make_config()
    (whole / "checkpoints" / "step_00000004").rename(whole / "checkpoints" / "step_00000004.damaged")
    damaged = load_newest(whole)
    assert damaged.step == 2 and not are_bit_identical(before, flatten(damaged))
    train(config, whole, open_data(config.data), resume=True)
    assert load_newest(whole).step == 4 and are_bit_identical(before, flatten(load_newest(whole)))
