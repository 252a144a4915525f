"""A fault ends a training, or is passed over, with one line and without lost work."""

import errno
import json
import math
import os
import signal
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from vaegan.config.schema import Config, TrainConfig
from vaegan.data import Data, open_data
from vaegan.errors import Failure, UserError
from vaegan.progress import ProgressCallback
from vaegan.storage import checkpoints
from vaegan.trainers import ema, loop, train
from vaegan.trainers.accelerator import make_accelerator
from vaegan.trainers.loop import clip_gradients, find_non_finite
from vaegan.trainers.meter import Meter
from vaegan.trainers.state import State, build_state
from vaegan.trainers.steps import build_step
from vaegan.trainers.steps.base import StepOutput

from ..tiny import FAMILIES, are_bit_identical, flatten, load_newest, read_run_files, tiny


def spoil_steps(*steps: int) -> Callable[[TrainConfig, State], torch.Tensor]:
    """Return a `clip_gradients` that finds NaN in these steps."""

    def clip(config: TrainConfig, state: State) -> torch.Tensor:
        norms = clip_gradients(config, state)
        return norms * math.nan if state.step in steps else norms

    return clip


@pytest.mark.parametrize("name", FAMILIES)
def test_a_gradient_that_is_not_finite_stops_the_training_and_loses_nothing(name, tmp_path, data) -> None:
    config = tiny(name, "train.learning_rate=1e30", "train.steps=9")
    with pytest.raises(Failure, match=r"^step \d: .*not finite; the checkpoint of step \d is kept; ") as failure:
        train(config, tmp_path / "run", data)
    message = str(failure.value)
    assert "\n" not in message and "learning_rate" in message
    step = int(message.partition("step ")[2][0])
    assert load_newest(tmp_path / "run").step == step - 1
    assert any(term in message for term in ("loss/", "gradient of"))


def test_the_term_that_is_not_finite_is_named() -> None:
    config, accelerator = tiny("vaegan3"), make_accelerator(tiny("vae").train)
    state = build_state(config, build_step(config), accelerator)
    for network in state.networks.values():
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
    for norm, network in zip(clip_gradients(config.train, state).tolist(), state.networks.values(), strict=True):
        assert norm == pytest.approx(sum(parameter.numel() for parameter in network.parameters()) ** 0.5)
    state.networks["discriminator"].head.bias.grad.fill_(torch.nan)
    meter = Meter()
    norms = dict(zip(state.networks, clip_gradients(config.train, state).tolist(), strict=True))
    assert find_non_finite(norms, meter, accelerator) == ["the gradient of the discriminator"]
    for value in (1.0, torch.nan):
        meter.add(StepOutput({"loss/kl": torch.tensor(value), "loss/adversarial": torch.tensor(2.0)}), 0.5)
    assert find_non_finite(norms, meter, accelerator) == ["loss/kl"]


def test_a_skipped_update_leaves_everything_but_the_step(tmp_path: Path, data: Data, monkeypatch) -> None:
    """A run whose third and last step is skipped has the weights of the run of two steps."""
    config = tiny("vaegan3", "train.nan=skip", "train.steps=3", "train.log_every=1", "train.ema_decay=0.5")
    monkeypatch.setattr(loop, "clip_gradients", spoil_steps(2))
    skipped = train(config, tmp_path / "skipped", data)
    before = train(tiny("vaegan3", "train.steps=2", "train.ema_decay=0.5"), tmp_path / "before", data)
    assert are_bit_identical(flatten(load_newest(skipped.path)), flatten(load_newest(before.path)))
    lines = [json.loads(line) for line in skipped.history_file.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 3]
    assert lines[2] == {"step": 3, "skipped": ["the gradient of the autoencoder", "the gradient of the discriminator"]}
    assert lines[3] == {"step": 3, "updates": 2.0, **{key: lines[1][key] for key in lines[1] if "rate" in key}}


def test_averages_count_updates_and_schedules_count_steps(tmp_path: Path, data: Data, monkeypatch) -> None:
    config = tiny("vae", "train.nan=skip", "train.warmup_steps=5", "train.log_every=1")
    updates = []
    monkeypatch.setattr(loop, "clip_gradients", spoil_steps(1))
    monkeypatch.setattr(ema, "compute_decay", lambda config, half_life, step, count: int(count))
    monkeypatch.setattr(ema, "update_ema", lambda *arguments: updates.append((arguments[2], bool(arguments[3]))))
    lines = train(config, tmp_path / "run", data).history_file.read_text().splitlines()
    assert updates == [(0, True), (1, False), (1, True), (2, True), (3, True)]
    rates = [line["learning_rate/autoencoder"] for line in map(json.loads, lines) if "skipped" not in line]
    assert rates == pytest.approx([1e-3 * step / 5 for step in range(1, 6)])


def test_skipping_begins_where_stopping_ended(tmp_path: Path, data: Data, monkeypatch) -> None:
    monkeypatch.setattr(loop, "clip_gradients", spoil_steps(2))
    with pytest.raises(Failure, match=r"^step 3: .* the checkpoint of step 2 is kept"):
        train(tiny("vae"), tmp_path / "run", data)
    run = train(tiny("vae", "train.nan=skip"), tmp_path / "run", data, resume=True)
    assert load_newest(run.path).state["updates"] == 4
    straight = train(tiny("vae", "train.nan=skip"), tmp_path / "straight", data)
    assert are_bit_identical(flatten(load_newest(run.path)), flatten(load_newest(straight.path)))
    assert run.history_file.read_bytes() == straight.history_file.read_bytes()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of images."""
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0)
    for number in range(16):
        Image.fromarray(noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / f"images/{number:02d}.png")
    return tmp_path / "images"


def folder_config(images: Path, *words: str) -> Config:
    """The config of a run whose images are read when they are needed, and which saves nothing before its end."""
    source = (f"data.root={images}", "data.source=folder", "data.channels=3", "data.cache=none", "data.workers=1")
    return tiny("vaegan3", *source, "data.validation=0.25", "data.test=0", "train.checkpoint_every=null", *words)


@pytest.mark.parametrize("when", [(), ("train.sample_every=2",), ("train.evaluate_every=2",)])
def test_a_validation_image_that_vanishes_costs_nothing(when, images: Path, tmp_path: Path) -> None:
    """It is needed by the grids at the end, by grids on the way, or by an evaluation."""
    config = folder_config(images, *when)
    data = open_data(config.data)
    files = [images / data.validation.store.names[int(index)] for index in data.validation.indices]
    contents = {file: file.read_bytes() for file in files}

    def evaluate(model: object, data: Data, progress: object) -> dict[str, float]:
        return {"mean": data.validation[torch.arange(len(data.validation))].float().mean().item()}

    for file in files:
        file.unlink()
    before = psutil.Process().children()
    with pytest.raises(Failure, match=r"\.png: .*; mend or restore this image, then resume \(the checkpoint of step"):
        train(config, tmp_path / "run", data, evaluate)
    assert psutil.Process().children() == before
    assert load_newest(tmp_path / "run").step == (2 if when else 5)
    for file, content in contents.items():
        file.write_bytes(content)
    run = train(config, tmp_path / "run", data, evaluate, resume=True)
    straight = train(config, tmp_path / "straight", data, evaluate)
    assert read_run_files(run.path).keys() >= read_run_files(straight.path).keys()
    assert are_bit_identical(flatten(load_newest(run.path)), flatten(load_newest(straight.path)))
    assert run.history_file.read_bytes() == straight.history_file.read_bytes()
    assert {file.name for file in run.samples.iterdir()} == {file.name for file in straight.samples.iterdir()}


def test_a_decoding_process_that_dies_in_a_step_costs_nothing(images: Path, tmp_path: Path, monkeypatch) -> None:
    config = folder_config(images, "train.steps=40")

    def kill_worker_in_step_3(*arguments: object) -> object:
        if arguments[1].step == 3:
            (worker,) = set(psutil.Process().children()) - other_processes
            worker.kill()
            time.sleep(0.2)
        return compute_gradients(*arguments)

    compute_gradients, other_processes = loop.compute_gradients, set(psutil.Process().children())
    monkeypatch.setattr(loop, "compute_gradients", kill_worker_in_step_3)
    with pytest.raises(
        Failure, match=r"^data.workers: a decoding process died \(.*\(the checkpoint of step"
    ) as failure:
        train(config, tmp_path / "run", open_data(config.data))
    assert len(str(failure.value).splitlines()) == 1
    step = load_newest(tmp_path / "run").step
    assert 4 <= step < 40 and f"step {step} is kept" in str(failure.value)
    monkeypatch.undo()
    run = train(config, tmp_path / "run", open_data(config.data), resume=True)
    assert are_bit_identical(
        flatten(load_newest(run.path)),
        flatten(load_newest(train(config, tmp_path / "two", open_data(config.data)).path)),
    )


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_a_step_that_needs_too_much_memory_leaves_the_step_before(device, tmp_path, data, monkeypatch) -> None:
    """The CPU is really asked for a petabyte; a GPU's error is raised in its words."""
    held = []

    def run_out_in_step_4(*arguments: object) -> object:
        if arguments[1].step < 3:
            return compute_gradients(*arguments)
        gradients = compute_gradients(*arguments)
        held.append(weakref.ref(gradients[1]))
        if device == "cpu":
            torch.empty(2**50, dtype=torch.uint8)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1.")

    def check_that_activations_are_freed(*arguments: object) -> None:
        assert held[0]() is None
        save_checkpoint(*arguments)

    compute_gradients, save_checkpoint = loop.compute_gradients, checkpoints.save_checkpoint
    monkeypatch.setattr(loop, "compute_gradients", run_out_in_step_4)
    monkeypatch.setattr(checkpoints, "save_checkpoint", check_that_activations_are_freed)
    config = tiny("vaegan3", "train.checkpoint_every=null")
    asked = {"cuda": "CUDA out of memory. Tried to allocate 2.00 GiB", "cpu": "you tried to allocate 1125899906842624"}
    with pytest.raises(Failure, match=rf"^step 4: .*{asked[device]}.*; the checkpoint of step 3 is kept; ") as failure:
        train(config, tmp_path / "run", data)
    advice = (
        "go on with --resume and a smaller train.micro_batch_size or train.checkpointing=true, or begin another run"
    )
    assert str(failure.value).endswith(f"; {advice} with train.precision=bf16") and "\n" not in str(failure.value)
    monkeypatch.undo()
    run = train(config, tmp_path / "run", data, resume=True)
    straight = train(config, tmp_path / "straight", data)
    assert are_bit_identical(flatten(load_newest(run.path)), flatten(load_newest(straight.path)))


def test_an_evaluation_that_fails_costs_nothing(tmp_path: Path, data: Data) -> None:
    def evaluate(model: object, data: Data, progress: object) -> dict[str, float]:
        raise UserError("a file of weights is damaged")

    config = tiny("vae", "train.evaluate_every=3", "train.checkpoint_every=null")
    with pytest.raises(Failure, match=r"^a file of weights is damaged \(the checkpoint of step 3 is kept\)$"):
        train(config, tmp_path / "run", data, evaluate)
    assert load_newest(tmp_path / "run").step == 3


def test_a_checkpoint_that_fails_while_an_evaluation_is_put_off_is_tried_once(tmp_path, data, monkeypatch) -> None:
    def evaluate(model: object, data: Data, progress: ProgressCallback) -> dict[str, float]:
        monkeypatch.setattr(checkpoints, "save_checkpoint", fail)
        os.kill(os.getpid(), signal.SIGTERM)
        progress(1, 2)
        raise AssertionError

    attempts = []

    def fail(folder: Path, *rest: object) -> None:
        attempts.append(folder)
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    config = tiny("vae", "train.evaluate_every=3", "train.checkpoint_every=null")
    with pytest.raises(Failure, match=r"^step 3: a checkpoint could not be written: .*; there is no checkpoint yet; "):
        train(config, tmp_path / "run", data, evaluate)
    assert len(attempts) == 1
