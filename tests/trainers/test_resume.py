"""A stop and a resume change nothing, and only the same run is resumed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vaegan.config import dump
from vaegan.data import Data, open_data
from vaegan.errors import Mistake
from vaegan.runs import Run
from vaegan.trainers import train
from vaegan.trainers.base import FAMILIES as FAMILY_OF
from vaegan.trainers.interrupt import Interrupts
from vaegan.trainers.processes import make_accelerator
from vaegan.trainers.state import build_state, restore

from ..tiny import EVERYTHING, flat, last, same_bits, tiny


@pytest.fixture(scope="module")
def data() -> Data:
    return open_data(tiny("vae").data)


SLOW = (*EVERYTHING, "train.steps=36", "train.batch_size=16", "train.log_every=3", "train.checkpoint_every=4")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> tuple[Path, dict[str, list[int]]]:
    """The same training, whole and stopped in several ways by real signals to real processes."""
    root = tmp_path_factory.mktemp("stopped")
    (root / "config.yaml").write_text(dump(tiny("vaegan3", *SLOW)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("stopped.py")), str(root / "config.yaml"), str(root)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert ended.returncode == 0, ended.stderr
    return root, json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("how", "codes"),
    [("SIGINT", [130, 0]), ("SIGTERM", [130, 130, 0]), ("SIGKILL", [-9, -9, -9, 0]), ("saving", [-9, -9, -9, 0])],
)
def test_a_stopped_and_resumed_training_ends_bit_identical(stopped, how: str, codes: list[int]) -> None:
    root, found = stopped
    whole, resumed = Run(root / "whole"), Run(root / how)
    assert found["whole"] == [0] and found[how] == codes, (root / f"{how}.txt").read_text()
    assert resumed.history_file.read_bytes() == whole.history_file.read_bytes()
    assert resumed.finished and last(resumed.path).step == 36
    expected, tensors = flat(last(whole.path)), flat(last(resumed.path))
    assert {key.partition("/")[0] for key in expected} == {
        "autoencoder", "discriminator", "average", "autoencoder.optimizer", "discriminator.optimizer"
    }  # fmt: skip
    assert same_bits(expected, tensors)
    assert last(resumed.path).state == last(whole.path).state
    for path in (whole.model_folder, whole.samples):
        for file in path.iterdir():
            assert (resumed.path / path.name / file.name).read_bytes() == file.read_bytes()
    assert len(list(resumed.checkpoints.iterdir())) == 2
    said = (root / f"{how}.txt").read_text()
    assert "Traceback" not in said
    if codes[0] == 130:
        assert "stopped at step" in said and "go on with --resume" in said


def test_a_signal_ends_the_step_and_writes_a_checkpoint_first(stopped) -> None:
    root, _ = stopped
    said = (root / "SIGTERM.txt").read_text()
    steps = [
        int(line.rpartition("stopped at step ")[2].split(";")[0]) for line in said.splitlines() if "stopped at" in line
    ]
    assert len(steps) == 2 and 5 <= steps[0] < steps[1] < 36


def test_a_second_ctrl_c_stops_at_once_and_an_echo_does_not() -> None:
    with Interrupts(60.0, torch.device("cpu")) as interrupts:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):  # as a launcher passes them on
            os.kill(os.getpid(), number)
        assert interrupts.received is not None
        interrupts.received -= 1.1
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("spoiled", [[5], [5, 4], [5, 4, 2]])
def test_a_resume_passes_over_damaged_checkpoints(tmp_path: Path, data: Data, spoiled: list[int]) -> None:
    config = tiny("vaegan2", "train.checkpoint_every=2", "train.keep_checkpoints=3")
    run = train(config, tmp_path / "run", data)
    before, lines = flat(last(run.path)), run.history_file.read_bytes()
    for step in spoiled:
        file = run.checkpoints / f"step_{step:08d}" / "discriminator.safetensors"
        file.write_bytes(file.read_bytes()[:-1])
    train(config, run.path, data, resume=True)
    assert same_bits(before, flat(last(run.path)))
    assert run.history_file.read_bytes() == lines


def test_a_resumed_optimizer_is_laid_out_in_memory_as_before(tmp_path: Path, data: Data) -> None:
    config = tiny("vaegan3", "train.steps=1")
    accelerator = make_accelerator(config.train)
    state = build_state(config, FAMILY_OF["vaegan"], accelerator)
    restore(state, last(train(config, tmp_path / "run", data).path), accelerator)
    moments = [(key, value) for adam in state.optimizers.values() for key, value in adam.state.items()]
    assert len(moments) == sum(len(list(network.parameters())) for network in state.networks.values())
    assert all(value["exp_avg"].stride() == value["exp_avg_sq"].stride() == key.stride() for key, value in moments)
    assert any(not key.is_contiguous() for key, _ in moments)


def test_another_config_or_other_images_cannot_be_resumed(tmp_path: Path, data: Data) -> None:
    config = tiny("vae", "train.steps=2")
    folder = train(config, tmp_path / "run", data).path
    with pytest.raises(Mistake, match=r"another config .*learning_rate"):
        train(tiny("vae", "train.steps=2", "train.learning_rate=0.5"), folder, data, resume=True)
    others = Data(data.train, data.validation, data.test, data.classes, "0" * 32)
    with pytest.raises(Mistake, match="no longer those"):
        train(config, folder, others, resume=True)
