"""A stop and a resume change nothing, and only the same run is resumed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import nn

from vaegan import precision
from vaegan.config import dump_config
from vaegan.data import Data
from vaegan.errors import UserError
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ..forked.client import OWN_TRAINING, Command, ForkServer
from ..own_networks import build_own_networks
from ..tiny import (
    FAMILIES,
    FAMILY_OPTIONS,
    LOOP_OPTIONS,
    OWN_OPTIONS,
    PATCHES,
    are_bit_identical,
    flatten,
    get_network_names,
    load_newest,
    read_run_files,
    tiny,
)

STOPS = {
    "int": ["SIGINT@3"],
    "term": ["SIGTERM@1", "SIGTERM@5"],
    "kill": ["SIGKILL@2", "SIGKILL@6", "SIGKILL@8"],
}
"""Signals that come to a training and to its resumes, and the steps before them."""


def list_stops(name: str) -> list[str]:
    """Return how the training of a family is stopped; all but the three-way VAE-GAN are killed alone."""
    return list(STOPS) if name == "vaegan3" else ["kill"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """The training of each family, whole and stopped in several ways by real signals to real processes."""
    folder = tmp_path_factory.mktemp("stopped")
    steps = ("train.steps=9", "train.log_every=3", "train.checkpoint_every=4")
    for name in FAMILIES:
        (folder / f"{name}.yaml").write_text(
            dump_config(tiny(name, *LOOP_OPTIONS, *FAMILY_OPTIONS.get(name, ()), *steps))
        )
    (folder / "own.yaml").write_text(dump_config(tiny("vaegan3", *LOOP_OPTIONS, *OWN_OPTIONS, *steps)))
    words = {name: ["train", f"{name}.yaml", "--resume"] for name in FAMILIES} | {"own": [OWN_TRAINING, "own.yaml"]}
    with ForkServer(folder) as server:
        server.run(
            {
                f"{name}-{how}": [Command(words[name], signal) for signal in [*STOPS.get(how, []), ""]]
                for name in words
                for how in ("whole", *list_stops(name))
            }
        )
        yield server


@pytest.mark.parametrize(("name", "how"), [(name, how) for name in FAMILIES for how in list_stops(name)])
def test_a_stopped_and_resumed_training_ends_like_a_whole_one(server: ForkServer, name: str, how: str) -> None:
    *ends, resumed = server.get_results(f"{name}-{how}")
    run = f"{name}-{how}"
    for end, disturbance in zip(ends, STOPS[how], strict=True):
        signal, _, step = disturbance.partition("@")
        if signal == "SIGKILL":
            assert (end.code, end.out, end.err) == (-9, "", "")
        else:
            stop = f"vaegan: {run}: stopped at step {int(step) + 1}; go on with --resume\n"
            assert (end.code, end.out, end.err) == (130, "", stop)
    assert (resumed.code, resumed.err) == (0, "")
    whole, left = read_run_files(server.folder / f"{name}-whole"), read_run_files(server.folder / run)
    files = {path.rpartition("/")[2] for path in whole if path.endswith(".safetensors")}
    optional = ["controls"] if name in ("vaegan3", "ganvae", *PATCHES) else []  # by `FAMILY_OPTIONS`
    if name == "vaegan3":
        optional.append("second_average")
    assert files == {
        f"{file}.safetensors"
        for network in get_network_names(name)
        for file in (network, f"{network}.optimizer", "average", "model", *optional)
    }
    assert_same_files(whole, left)


def test_a_killed_and_resumed_training_of_own_modules_ends_like_a_whole_one(server: ForkServer) -> None:
    *ends, resumed = server.get_results("own-kill")
    assert [end.code for end in ends] == [-9] * 3 and (resumed.code, resumed.err) == (0, "")
    whole, left = (read_run_files(server.folder / f"own-{run}") for run in ("whole", "kill"))
    assert {f"networks/{name}.safetensors" for name in ("encoder", "decoder", "discriminator")} <= whole.keys()
    assert_same_files(whole, left)


def test_a_resumed_training_of_networks_of_diffusers_ends_with_the_same_bits(tmp_path: Path, data: Data) -> None:
    config = tiny("vaegan1-diffusers", *LOOP_OPTIONS, "train.steps=4", "train.checkpoint_every=2")
    run = train(config, tmp_path / "run", data)
    before = flatten(load_newest(run.path))
    (run.checkpoints / "step_00000004").rename(run.checkpoints / "step_00000004.damaged")
    damaged = load_newest(run.path)
    assert damaged.step == 2 and not are_bit_identical(before, flatten(damaged))
    train(config, run.path, data, resume=True)
    assert load_newest(run.path).step == 4 and are_bit_identical(before, flatten(load_newest(run.path)))


def assert_same_files(whole: dict[str, bytes], left: dict[str, bytes]) -> None:
    # A signal adds a checkpoint, so that a scheduled one may be missing: it was the newest already.
    kept = {path for path in whole if not path.startswith("checkpoints/")} | {
        path for path in whole if path.startswith("checkpoints/step_00000009")
    }
    assert left.keys() >= kept and [path for path in kept if left[path] != whole[path]] == []


def truncate(run: Run, *steps: int) -> None:
    """Cut the last byte off a file of the checkpoints of these steps."""
    for step in steps:
        file = run.checkpoints / f"step_{step:08d}" / "discriminator.safetensors"
        file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("damaged", [[5], [5, 4]])
def test_a_resume_passes_over_damaged_checkpoints(tmp_path: Path, data: Data, damaged: list[int]) -> None:
    config = tiny("vaegan2", "train.checkpoint_every=2", "train.keep_checkpoints=3")
    run = train(config, tmp_path / "run", data)
    before, lines = flatten(load_newest(run.path)), run.history_file.read_bytes()
    truncate(run, *damaged)
    train(config, run.path, data, resume=True)
    assert are_bit_identical(before, flatten(load_newest(run.path)))
    assert run.history_file.read_bytes() == lines


def test_a_run_without_a_whole_checkpoint_is_not_begun_again(tmp_path: Path, data: Data) -> None:
    config = tiny("vaegan2", "train.checkpoint_every=3")
    run = train(config, tmp_path / "run", data)
    truncate(run, 5, 3)
    before = read_run_files(run.path)
    with pytest.raises(UserError) as error:
        train(config, run.path, data, resume=True)
    reasons = [f"step_{step:08d}: discriminator.safetensors: does not match its checksum" for step in (5, 3)]
    assert str(error.value) == (
        f"{run.checkpoints}: no whole checkpoint is left ({', '.join(reasons)}); restore one, or remove the folder"
        " `checkpoints` to begin again"
    )
    assert read_run_files(run.path) == before
    shutil.rmtree(run.checkpoints)
    train(config, run.path, data, resume=True)
    assert load_newest(run.path).step == 5


def test_a_run_with_nothing_but_checkpoints_set_aside_is_not_begun_again(tmp_path: Path, data: Data) -> None:
    config = tiny("vaegan2", "train.checkpoint_every=3")
    run = train(config, tmp_path / "run", data)
    truncate(run, 5)
    train(config, run.path, data, resume=True)
    for step in (3, 5):
        shutil.rmtree(run.checkpoints / f"step_{step:08d}")
    with pytest.raises(UserError, match=r"no whole checkpoint is left \(step_00000005\.damaged: set aside before\)"):
        train(config, run.path, data, resume=True)


def test_no_whole_checkpoint_is_deleted_in_the_place_of_a_damaged_one(tmp_path: Path, data: Data) -> None:
    words = ("train.checkpoint_every=3", "train.keep_checkpoints=2")
    run = train(tiny("vaegan2", *words), tmp_path / "run", data)
    truncate(run, 5)
    train(tiny("vaegan2", *words, "train.steps=6"), run.path, data, resume=True, extend=True)
    left = {path.name for path in run.checkpoints.iterdir()}
    assert left == {"step_00000003", "step_00000005.damaged", "step_00000006"}


def test_a_refused_resume_sets_nothing_aside(tmp_path: Path, data: Data) -> None:
    run = train(tiny("vaegan2", "train.checkpoint_every=3"), tmp_path / "run", data)
    truncate(run, 5)
    before = read_run_files(run.path)
    others = Data(data.train, data.validation, data.test, data.classes, "0" * 32)
    with pytest.raises(UserError, match="no longer those"):
        train(tiny("vaegan2", "train.checkpoint_every=3"), run.path, others, resume=True)
    assert read_run_files(run.path) == before


def test_another_config_or_other_images_cannot_be_resumed(tmp_path: Path, data: Data) -> None:
    config = tiny("vae", "train.steps=2")
    folder = train(config, tmp_path / "run", data).path
    with pytest.raises(UserError, match=r"another config .*learning_rate"):
        train(tiny("vae", "train.steps=2", "train.learning_rate=0.5"), folder, data, resume=True)
    others = Data(data.train, data.validation, data.test, data.classes, "0" * 32)
    with pytest.raises(UserError, match="no longer those"):
        train(config, folder, others, resume=True)


def test_only_the_modules_that_a_run_was_started_with_resume_it(tmp_path: Path, data: Data) -> None:
    config, networks, others = tiny("vaegan3"), build_own_networks(), build_own_networks(seed=1)
    run = train(config, tmp_path / "run", data, networks=networks)
    before = read_run_files(run.path)
    file = run.path / "networks" / "decoder.safetensors"
    wrapped = nn.Sequential(networks["decoder"])
    for wrong, problem in (
        (None, "encoder: the run was started with a given OwnEncoder; give that again"),
        ({**networks, "decoder": wrapped}, "decoder: the run was started with a given OwnDecoder; give that again"),
        ({**networks, "decoder": others["decoder"]}, f"decoder: has other initial weights than the run was .* {file}"),
    ):
        with pytest.raises(UserError, match=f"{run.path}: networks: {problem}.*, or choose another --output"):
            train(config, run.path, data, networks=wrong, resume=True)
    assert read_run_files(run.path) == before
    for name, module in others.items():
        module.load_state_dict(load_file(run.path / "networks" / f"{name}.safetensors"))
    train(config, run.path, data, networks=others, resume=True)
    assert read_run_files(run.path) == before
    built = train(config, tmp_path / "built", data)
    with pytest.raises(UserError, match="networks: discriminator: not given when the run was started; leave it out"):
        train(config, built.path, data, networks={"discriminator": networks["discriminator"]}, resume=True)


def test_a_config_that_names_given_modules_is_not_trained_without_them(tmp_path: Path, data: Data) -> None:
    run = train(tiny("vaegan3"), tmp_path / "run", data, networks=build_own_networks())
    with pytest.raises(UserError, match=r"networks.encoder: a OwnEncoder is given in Python alone, vaegan.train"):
        train(run.config, tmp_path / "other", data)
    assert not (tmp_path / "other").exists()


def test_a_resumed_run_keeps_the_precision_that_auto_stood_for(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda: True)
    config = tiny("vae", "train.precision=auto")
    run = train(config.model_copy(update={"train": config.train.model_copy(update={"steps": 3})}), tmp_path, data)
    assert run.config.train.precision == "bf16"
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda: False)
    train(config, tmp_path, data, resume=True, extend=True)
    whole = train(tiny("vae", "train.precision=bf16"), tmp_path / "whole", data)
    assert run.config.train.precision == "bf16" and run.config.train.steps == 5
    assert are_bit_identical(flatten(load_newest(tmp_path)), flatten(load_newest(whole.path)))
    assert train(config, tmp_path / "elsewhere", data).config.train.precision == "fp32"
