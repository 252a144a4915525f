"""What goes wrong in a training ends it, or is passed over, in one line and without lost work."""

import errno
import json
import math
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from vaegan.config import Config
from vaegan.data import Data, open_data
from vaegan.errors import Failure, UserError
from vaegan.progress import ProgressCallback
from vaegan.storage import checkpoints
from vaegan.trainers import loop, train
from vaegan.trainers.batch_partition import make_accelerator
from vaegan.trainers.log.history import History
from vaegan.trainers.loop import STEPS as FAMILY_OF
from vaegan.trainers.loop import clip_gradients, find_non_finite
from vaegan.trainers.meter import Meter
from vaegan.trainers.state import build_state
from vaegan.trainers.steps.base import StepOutput

from ..tiny import FAMILIES, flat, last, left_behind, same_bits, tiny


@pytest.fixture(scope="module")
def data() -> Data:
    return open_data(tiny("vae").data)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_gradient_that_is_not_finite_stops_the_training_and_loses_nothing(name, tmp_path, data) -> None:
    config = tiny(name, "train.learning_rate=1e30", "train.steps=9")
    with pytest.raises(Failure, match=r"^step \d: .*not finite; the checkpoint of step \d is kept; ") as failure:
        train(config, tmp_path / "run", data)
    message = str(failure.value)
    assert "\n" not in message and "learning_rate" in message
    step = int(message.partition("step ")[2][0])
    assert last(tmp_path / "run").step == step - 1
    assert any(term in message for term in ("loss/", "gradient of"))


def test_the_term_that_is_not_finite_is_named() -> None:
    config, accelerator = tiny("vaegan3"), make_accelerator(tiny("vae").train)
    state = build_state(config, FAMILY_OF["vaegan"], accelerator)
    for network in state.networks.values():
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
    norms = clip_gradients(config.train, state)
    for name, network in state.networks.items():
        assert norms[name] == pytest.approx(sum(each.numel() for each in network.parameters()) ** 0.5)
    state.networks["discriminator"].head.bias.grad.fill_(torch.nan)
    meter = Meter()
    assert find_non_finite(clip_gradients(config.train, state), meter, accelerator) == [
        "the gradient of the discriminator"
    ]
    for value in (1.0, torch.nan):
        meter.add(StepOutput({"loss/kl": torch.tensor(value), "loss/adversarial": torch.tensor(2.0)}), 0.5)
    assert find_non_finite(clip_gradients(config.train, state), meter, accelerator) == ["loss/kl"]


def test_a_skipped_update_leaves_everything_but_the_step(tmp_path: Path, data: Data, monkeypatch) -> None:
    """The run with a skipped third step is the run that never had it, up to the noise of the steps after it."""
    config = tiny("vaegan3", "train.nan=skip", "train.steps=3", "train.log_every=1", "train.ema_decay=0.5")
    monkeypatch.setattr(loop, "clip_gradients", lambda *given: spoil(given[1].step == 2, clip_gradients(*given)))
    skipped = train(config, tmp_path / "skipped", data)
    before = train(tiny("vaegan3", "train.steps=2", "train.ema_decay=0.5"), tmp_path / "before", data)
    assert same_bits(flat(last(skipped.path)), flat(last(before.path)))
    lines = [json.loads(line) for line in skipped.history_file.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 3]
    assert lines[2] == {"step": 3, "skipped": ["the gradient of the autoencoder", "the gradient of the discriminator"]}
    assert lines[3] == {"step": 3, "updates": 2.0, **{key: lines[1][key] for key in lines[1] if "rate" in key}}


def test_averages_count_updates_and_schedules_count_steps(tmp_path: Path, data: Data, monkeypatch) -> None:
    config = tiny("vae", "train.nan=skip", "train.warmup_steps=5", "train.log_every=1")
    seen = []
    monkeypatch.setattr(loop, "clip_gradients", lambda *given: spoil(given[1].step == 1, clip_gradients(*given)))
    monkeypatch.setattr(loop.ema, "update", lambda *given: seen.append(given[3]))
    lines = train(config, tmp_path / "run", data).history_file.read_text().splitlines()
    assert seen == [0, 1, 2, 3]
    rates = [line["learning_rate/autoencoder"] for line in map(json.loads, lines) if "skipped" not in line]
    assert rates == pytest.approx([1e-3 * step / 5 for step in range(1, 6)])


def spoil(due: bool, norms: dict[str, float]) -> dict[str, float]:
    return dict.fromkeys(norms, math.nan) if due else norms


def test_skipping_begins_where_stopping_ended(tmp_path: Path, data: Data, monkeypatch) -> None:
    faulty = [2]
    monkeypatch.setattr(loop, "clip_gradients", lambda *given: spoil(given[1].step in faulty, clip_gradients(*given)))
    with pytest.raises(Failure, match=r"^step 3: .* the checkpoint of step 2 is kept"):
        train(tiny("vae"), tmp_path / "run", data)
    run = train(tiny("vae", "train.nan=skip"), tmp_path / "run", data, resume=True)
    assert last(run.path).state["updates"] == 4
    straight = train(tiny("vae", "train.nan=skip"), tmp_path / "straight", data)
    assert same_bits(flat(last(run.path)), flat(last(straight.path)))
    assert run.history_file.read_bytes() == straight.history_file.read_bytes()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of images."""
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0)
    for number in range(16):
        Image.fromarray(noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / f"images/{number:02d}.png")
    return tmp_path / "images"


def from_folder(images: Path, *words: str) -> Config:
    """A run whose images are read when they are wanted, and which saves nothing before its end."""
    folder = (f"data.root={images}", "data.source=folder", "data.channels=3", "data.cache=none", "data.workers=1")
    return tiny("vaegan3", *folder, "data.validation=0.25", "data.test=0", "train.checkpoint_every=null", *words)


@pytest.mark.parametrize("when", [(), ("train.sample_every=2",), ("train.evaluate_every=2",)])
def test_a_validation_image_that_vanishes_costs_nothing(when, images: Path, tmp_path: Path) -> None:
    """At the grids of the end, at grids on the way, in an evaluation."""
    config = from_folder(images, *when)
    lost = open_data(config.data)
    files = [images / lost.validation.store.names[int(index)] for index in lost.validation.part]
    held = {file: file.read_bytes() for file in files}

    def look(model: object, data: Data, progress: object) -> dict[str, float]:
        return {"mean": data.validation[torch.arange(len(data.validation))].float().mean().item()}

    for file in files:
        file.unlink()
    before = psutil.Process().children()
    with pytest.raises(Failure, match=r"\.png: .*; mend or restore this image, then resume \(the checkpoint of step"):
        train(config, tmp_path / "run", lost, look)
    assert psutil.Process().children() == before
    assert last(tmp_path / "run").step == (2 if when else 5)
    for file, content in held.items():
        file.write_bytes(content)
    run = train(config, tmp_path / "run", lost, look, resume=True)
    straight = train(config, tmp_path / "straight", lost, look)
    assert left_behind(run.path).keys() >= left_behind(straight.path).keys()
    assert same_bits(flat(last(run.path)), flat(last(straight.path)))
    assert run.history_file.read_bytes() == straight.history_file.read_bytes()
    assert {file.name for file in run.samples.iterdir()} == {file.name for file in straight.samples.iterdir()}


def test_a_decoding_process_that_dies_in_a_step_costs_nothing(images: Path, tmp_path: Path, monkeypatch) -> None:
    config = from_folder(images, "train.steps=40")

    def gradients(*given: object) -> object:
        if given[2].step == 3:
            (worker,) = set(psutil.Process().children()) - others
            worker.kill()
            time.sleep(0.2)
        return base_gradients(*given)

    base_gradients, others = loop.compute_gradients, set(psutil.Process().children())
    monkeypatch.setattr(loop, "compute_gradients", gradients)
    with pytest.raises(
        Failure, match=r"^data.workers: a decoding process died \(.*\(the checkpoint of step"
    ) as failure:
        train(config, tmp_path / "run", open_data(config.data))
    assert len(str(failure.value).splitlines()) == 1
    step = last(tmp_path / "run").step
    assert 4 <= step < 40 and f"step {step} is kept" in str(failure.value)
    monkeypatch.undo()
    run = train(config, tmp_path / "run", open_data(config.data), resume=True)
    assert same_bits(flat(last(run.path)), flat(last(train(config, tmp_path / "two", open_data(config.data)).path)))


def test_an_evaluation_that_cannot_be_made_costs_nothing(tmp_path: Path, data: Data) -> None:
    def look(model: object, data: Data, progress: object) -> dict[str, float]:
        raise UserError("a file of weights is damaged")

    config = tiny("vae", "train.evaluate_every=3", "train.checkpoint_every=null")
    with pytest.raises(Failure, match=r"^a file of weights is damaged \(the checkpoint of step 3 is kept\)$"):
        train(config, tmp_path / "run", data, look)
    assert last(tmp_path / "run").step == 3


def test_a_checkpoint_that_fails_while_an_evaluation_is_put_off_is_tried_once(tmp_path, data, monkeypatch) -> None:
    def look(model: object, data: Data, progress: ProgressCallback) -> dict[str, float]:
        monkeypatch.setattr(checkpoints, "save_checkpoint", full)
        os.kill(os.getpid(), signal.SIGTERM)
        progress(1, 2)
        raise AssertionError

    tries = []

    def full(folder: Path, *rest: object) -> None:
        tries.append(folder)
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    config = tiny("vae", "train.evaluate_every=3", "train.checkpoint_every=null")
    with pytest.raises(Failure, match=r"^step 3: a checkpoint could not be written: .*; there is no checkpoint yet; "):
        train(config, tmp_path / "run", data, look)
    assert len(tries) == 1


def test_seconds_that_could_not_be_written_down_are_counted_once(tmp_path: Path, data: Data, monkeypatch) -> None:
    config = tiny("vae", "train.disk_full=continue", "train.log_every=1", "train.steps=6")
    flush, failed, begun = History.flush, [], time.monotonic()

    def full(history: History) -> None:
        if str(history._file.name).endswith("timing.jsonl") and len(failed) < 2:
            time.sleep(0.5)
            failed.append(history)
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(history)

    monkeypatch.setattr(History, "flush", full)
    run = train(config, tmp_path / "run", data)
    lines = [json.loads(line) for line in run.timing_file.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6] and len(failed) == 2
    assert sum(line["seconds"] for line in lines) <= time.monotonic() - begun


def test_grids_that_a_kill_left_incomplete_are_drawn_by_the_resume(tmp_path: Path, data: Data) -> None:
    config = tiny("vae", "train.sample_every=2", "train.checkpoint_every=2", "train.steps=4")
    run = train(config, tmp_path / "run", data)
    whole = left_behind(run.path)
    (run.samples / "step_00000004_sample.png").unlink()
    shutil.rmtree(run.model_folder)
    train(config, run.path, data, resume=True)
    assert left_behind(run.path) == whole
