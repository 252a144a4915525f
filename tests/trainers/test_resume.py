"""A stop and a resume change nothing, and only the same run is resumed."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from vaegan.cli.console import Console
from vaegan.config import dump_config
from vaegan.data import Data, open_data
from vaegan.distributed import SIGNAL_ECHO_SECONDS
from vaegan.errors import Interrupted, UserError
from vaegan.storage.runs import Run
from vaegan.trainers import train
from vaegan.trainers.batch_partition import make_accelerator
from vaegan.trainers.interrupt import Interrupts
from vaegan.trainers.loop import STEPS as FAMILY_OF
from vaegan.trainers.state import build_state, restore

from ..forked.client import Command, Forked
from ..tiny import EVERYTHING, FAMILIES, OPTIONS, flat, last, left_behind, networks, same_bits, tiny


@pytest.fixture(scope="module")
def data() -> Data:
    return open_data(tiny("vae").data)


STOPS = {
    "int": ["SIGINT@3"],
    "term": ["SIGTERM@1", "SIGTERM@5"],
    "kill": ["SIGKILL@2", "SIGKILL@6", "SIGKILL@8"],
}
"""Signals that come to a training and to its resumes, and the steps before them."""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    """The training of each family, whole and stopped in several ways by real signals to real processes."""
    folder = tmp_path_factory.mktemp("stopped")
    steps = ("train.steps=9", "train.log_every=3", "train.checkpoint_every=4")
    for name in FAMILIES:
        (folder / f"{name}.yaml").write_text(dump_config(tiny(name, *EVERYTHING, *OPTIONS.get(name, ()), *steps)))
    with Forked(folder) as forked:
        forked.do(
            {
                f"{name}-{how}": [Command(["train", f"{name}.yaml", "--resume"], signal) for signal in [*signals, ""]]
                for name in FAMILIES
                for how, signals in {"whole": [], **STOPS}.items()
            }
        )
        yield forked


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("how", STOPS)
def test_a_stopped_and_resumed_training_ends_as_if_nothing_had_happened(stopped: Forked, name: str, how: str) -> None:
    *ends, resumed = stopped.ended(f"{name}-{how}")
    run = f"{name}-{how}"
    for end, signal_ in zip(ends, STOPS[how], strict=True):
        asked, _, step = signal_.partition("@")
        if asked == "SIGKILL":
            assert (end.code, end.out, end.err) == (-9, "", "")
        else:
            stop = f"vaegan: {run}: stopped at step {int(step) + 1}; go on with --resume\n"
            assert (end.code, end.out, end.err) == (130, "", stop)
    assert (resumed.code, resumed.err) == (0, "")
    whole, found = left_behind(stopped.folder / f"{name}-whole"), left_behind(stopped.folder / run)
    files = {path.rpartition("/")[2] for path in whole if path.endswith(".safetensors")}
    steered = ["controls"] if name in ("vaegan3", "ganvae") else []  # by `OPTIONS`
    assert files == {
        f"{file}.safetensors"
        for network in networks(name)
        for file in (network, f"{network}.optimizer", "average", "model", *steered)
    }
    # Where a signal came, a checkpoint more was written, and one that was due was the newest already.
    kept = {path for path in whole if not path.startswith("checkpoints/")} | {
        path for path in whole if path.startswith("checkpoints/step_00000009")
    }
    assert found.keys() >= kept and [path for path in kept if found[path] != whole[path]] == []


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


def test_a_second_ctrl_c_stops_at_once_and_an_echo_does_not() -> None:
    with Interrupts(60.0, torch.device("cpu"), Console(shown=False)) as interrupts:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):  # as a launcher passes them on
            os.kill(os.getpid(), number)
        time.sleep(2 * SIGNAL_ECHO_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.received
        time.sleep(0.2)
        with pytest.raises(KeyboardInterrupt):
            ctrl_c()


def test_what_did_not_wake_the_main_thread_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that finds it on its way into a call that waits is not seen before that call ends."""
    sent: list[int] = []

    def missed(thread: int, number: int) -> None:
        sent.append(number)
        if len(sent) > 1:
            wake(thread, number)

    wake = signal.pthread_kill
    monkeypatch.setattr(signal, "pthread_kill", missed)
    with Interrupts(1.0, torch.device("cpu"), Console(shown=False)):
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match="grace_seconds"):
            time.sleep(60)
    assert len(sent) == 2


def spoil(run: Run, *steps: int) -> None:
    """Cut off a file of the checkpoints of these steps."""
    for step in steps:
        file = run.checkpoints / f"step_{step:08d}" / "discriminator.safetensors"
        file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("spoiled", [[5], [5, 4]])
def test_a_resume_passes_over_damaged_checkpoints(tmp_path: Path, data: Data, spoiled: list[int]) -> None:
    config = tiny("vaegan2", "train.checkpoint_every=2", "train.keep_checkpoints=3")
    run = train(config, tmp_path / "run", data)
    before, lines = flat(last(run.path)), run.history_file.read_bytes()
    spoil(run, *spoiled)
    train(config, run.path, data, resume=True)
    assert same_bits(before, flat(last(run.path)))
    assert run.history_file.read_bytes() == lines


def test_a_run_without_a_whole_checkpoint_is_not_begun_again(tmp_path: Path, data: Data) -> None:
    config = tiny("vaegan2", "train.checkpoint_every=3")
    run = train(config, tmp_path / "run", data)
    spoil(run, 5, 3)
    before = left_behind(run.path)
    with pytest.raises(UserError) as mistake:
        train(config, run.path, data, resume=True)
    reasons = [f"step_{step:08d}: discriminator.safetensors: does not match its checksum" for step in (5, 3)]
    assert str(mistake.value) == (
        f"{run.checkpoints}: no whole checkpoint is left ({', '.join(reasons)}); restore one, or remove the folder"
        " `checkpoints` to begin again"
    )
    assert left_behind(run.path) == before
    shutil.rmtree(run.checkpoints)
    train(config, run.path, data, resume=True)
    assert last(run.path).step == 5


def test_where_only_what_was_set_aside_is_left_a_run_is_not_begun_again(tmp_path: Path, data: Data) -> None:
    config = tiny("vaegan2", "train.checkpoint_every=3")
    run = train(config, tmp_path / "run", data)
    spoil(run, 5)
    train(config, run.path, data, resume=True)
    for step in (3, 5):
        shutil.rmtree(run.checkpoints / f"step_{step:08d}")
    with pytest.raises(UserError, match=r"no whole checkpoint is left \(step_00000005\.damaged: set aside before\)"):
        train(config, run.path, data, resume=True)


def test_no_whole_checkpoint_is_deleted_in_the_place_of_a_damaged_one(tmp_path: Path, data: Data) -> None:
    words = ("train.checkpoint_every=3", "train.keep_checkpoints=2")
    run = train(tiny("vaegan2", *words), tmp_path / "run", data)
    spoil(run, 5)
    train(tiny("vaegan2", *words, "train.steps=6"), run.path, data, resume=True, extend=True)
    left = {path.name for path in run.checkpoints.iterdir()}
    assert left == {"step_00000003", "step_00000005.damaged", "step_00000006"}


def test_a_refused_resume_sets_nothing_aside(tmp_path: Path, data: Data) -> None:
    run = train(tiny("vaegan2", "train.checkpoint_every=3"), tmp_path / "run", data)
    spoil(run, 5)
    before = left_behind(run.path)
    others = Data(data.train, data.validation, data.test, data.classes, "0" * 32)
    with pytest.raises(UserError, match="no longer those"):
        train(tiny("vaegan2", "train.checkpoint_every=3"), run.path, others, resume=True)
    assert left_behind(run.path) == before


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
    with pytest.raises(UserError, match=r"another config .*learning_rate"):
        train(tiny("vae", "train.steps=2", "train.learning_rate=0.5"), folder, data, resume=True)
    others = Data(data.train, data.validation, data.test, data.classes, "0" * 32)
    with pytest.raises(UserError, match="no longer those"):
        train(config, folder, others, resume=True)


def test_another_optimizer_goes_on_as_if_it_had_not_been_stopped(tmp_path: Path, data: Data) -> None:
    words = ("train.optimizer=rmsprop", "train.checkpoint_every=3")
    train(tiny("vaegan2", *words, "train.steps=6"), tmp_path / "whole", data)
    train(tiny("vaegan2", *words, "train.steps=3"), tmp_path / "parts", data)
    train(tiny("vaegan2", *words, "train.steps=6"), tmp_path / "parts", data, resume=True, extend=True)
    whole, parts = (flat(last(tmp_path / name)) for name in ("whole", "parts"))
    assert same_bits(whole, parts)
    moments = {key.rpartition("/")[2] for key in whole if ".optimizer/" in key}
    assert moments == {"step", "square_avg"}


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_what_an_optimizer_keeps_of_a_single_number_is_resumed(optimizer: str, tmp_path: Path, data: Data) -> None:
    """Twice, in float64: its averages are of the shape of the count of steps, which has a type of its own."""
    words = (f"train.optimizer={optimizer}", "train.dtype=float64", "model.learned_scale=true")
    train(tiny("vae", *words, "train.steps=6"), tmp_path / "whole", data)
    for steps in (2, 4, 6):
        config = tiny("vae", *words, f"train.steps={steps}")
        train(config, tmp_path / "parts", data, resume=True, extend=True)
    assert same_bits(*(flat(last(tmp_path / name)) for name in ("whole", "parts")))
