"""A resume names a damaged checkpoint, sets it aside, and continues from the newest whole one."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vaegan.config import dump_config

from ..forked.client import Command, ForkServer
from ..tiny import LOOP_OPTIONS, read_run_files, tiny

STEPS = ("train.steps=9", "train.checkpoint_every=2", "train.keep_checkpoints=3", "train.log_every=1")
RESUME = Command(["train", "config.yaml", "--resume"], "moment 0")


def truncate(file: Path) -> None:
    """Cut off the second half of a file."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_bit(file: Path) -> None:
    """Flip a bit in the middle of a file."""
    contents = bytearray(file.read_bytes())
    contents[len(contents) // 2] ^= 1
    file.write_bytes(contents)


DAMAGES: dict[str, list[tuple[str, Callable[[Path], None]]]] = {
    "truncated": [("step_00000006/average.safetensors", truncate)],
    "missing": [("step_00000006/discriminator.optimizer.safetensors", Path.unlink)],
    "flipped": [("step_00000006/autoencoder.safetensors", flip_bit)],
    "state": [("step_00000006/state.json", flip_bit)],
    "checksums": [("step_00000006/sha256.json", Path.unlink)],
    "both": [("step_00000006/autoencoder.safetensors", flip_bit), ("step_00000004/state.json", truncate)],
}
"""Files of the checkpoints, each with its damage."""


ALL = [(f"step_0000000{step}/autoencoder.safetensors", flip_bit) for step in (2, 4, 6)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """A training killed in its eighth step, and resumed after each kind of damage."""
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "config.yaml").write_text(dump_config(tiny("vaegan3", *LOOP_OPTIONS, *STEPS)))
    with ForkServer(folder) as server:
        server.run({"whole": [RESUME], "killed": [Command(["train", "config.yaml"], "SIGKILL@7")]})
        for name, damages in DAMAGES.items():
            spoil(server, name, damages)
        server.run({name: [RESUME] for name in DAMAGES})
        yield server


def spoil(server: ForkServer, name: str, damages: list[tuple[str, Callable[[Path], None]]]) -> dict[str, bytes]:
    """Make a damaged copy of the killed training, and return its files."""
    copy = shutil.copytree(server.folder / "killed", server.folder / name)
    for file, damage in damages:
        damage(copy / "checkpoints" / file)
    return read_run_files(copy)


def get_damaged_names(name: str) -> list[str]:
    """Return the names of the damaged checkpoints."""
    return [file.partition("/")[0] for file, _ in DAMAGES[name]]


def check_run(server: ForkServer, run: str, name: str) -> None:
    """Check that a damaged run ended as one that was never stopped, and kept the damaged checkpoints."""
    whole, resumed = read_run_files(server.folder / "whole"), read_run_files(server.folder / run)
    spoilt = spoil(server, f"{run}-spoilt", DAMAGES[name])
    kept = {
        path.replace(checkpoint, f"{checkpoint}.damaged"): contents
        for checkpoint in get_damaged_names(name)
        for path, contents in spoilt.items()
        if checkpoint in path
    }
    assert len(kept) > 6 and resumed.keys() == whole.keys() | kept.keys()
    assert [path for path in resumed if resumed[path] != (whole | kept)[path]] == []


@pytest.mark.parametrize("name", DAMAGES)
def test_the_checkpoint_before_a_damaged_one_is_used(server: ForkServer, name: str) -> None:
    (killed,), (process,) = server.get_results("killed"), server.get_results(name)
    assert (killed.code, process.code) == (-9, 0)
    notes = process.err.splitlines()
    assert len(notes) == len(DAMAGES[name])
    for note, (file, _) in zip(notes, DAMAGES[name], strict=True):
        checkpoint, _, damaged = file.partition("/")
        assert note.startswith(f"{name}/checkpoints/{checkpoint}: damaged (") and damaged in note
        assert note.endswith(f"); kept as {checkpoint}.damaged, and passed over")
    used = 4 if name != "both" else 2
    assert process.moments.count("before compute_gradients") == 9 - used
    check_run(server, name, name)
    state = (server.folder / name / "checkpoints/step_00000009/state.json").read_text()
    assert json.loads(state)["step"] == 9


def test_a_resume_may_be_killed_while_it_sets_damaged_checkpoints_aside(server: ForkServer) -> None:
    moments = server.get_results("both")[0].moments
    first, second = (1 + moments.index(f"before rename: checkpoints/{each}") for each in get_damaged_names("both"))
    numbers = range(first, second + 2)
    for number in numbers:
        spoil(server, f"both-{number}", DAMAGES["both"])
    server.run({f"both-{number}": [Command(RESUME.words, f"moment {number}"), RESUME] for number in numbers})
    for number in numbers:
        killed, resumed = server.get_results(f"both-{number}")
        assert (killed.code, resumed.code) == (-9, 0)
        assert resumed.err.count("damaged (") == (number <= first) + (number <= second)
        check_run(server, f"both-{number}", "both")


def test_the_first_of_several_processes_sets_damaged_checkpoints_aside(server: ForkServer) -> None:
    spoil(server, "several", DAMAGES["both"])
    server.run({"several": [Command(["train", "config.yaml", "--resume"], processes=2)]})
    (group,) = server.get_group_results("several")
    assert [each.code for each in group] == [0, 0], group
    assert [each.err.count("damaged (") for each in group] == [2, 0]
    left = {path.name for path in (server.folder / "several" / "checkpoints").iterdir()}
    assert left >= {f"{checkpoint}.damaged" for checkpoint in get_damaged_names("both")}


def test_where_no_checkpoint_is_whole_a_resume_touches_nothing(server: ForkServer) -> None:
    before = spoil(server, "none", ALL)
    server.run({"none": [RESUME]})
    (process,) = server.get_results("none")
    assert (process.code, process.out) == (2, "")
    assert process.err.startswith("vaegan: none/checkpoints: no whole checkpoint is left (step_00000006: autoencoder.")
    assert process.err.endswith("; restore one, or remove the folder `checkpoints` to begin again\n")
    assert process.err.count("\n") == 1 and read_run_files(server.folder / "none") == before
    shutil.rmtree(server.folder / "none" / "checkpoints")
    server.run({"none": [RESUME]})
    (process,) = server.get_results("none")
    assert (process.code, process.err) == (0, "")
    assert read_run_files(server.folder / "none") == read_run_files(server.folder / "whole")


def test_what_the_disk_cannot_read_is_gone_on_from_when_it_can(server: ForkServer) -> None:
    before = spoil(server, "disk", [])
    file = server.folder / "disk" / "checkpoints" / "step_00000006" / "average.safetensors"
    file.rename(server.folder / "average")
    file.symlink_to("/proc/self/mem")  # a regular file whose first byte is no memory
    server.run({"disk": [RESUME]})
    (process,) = server.get_results("disk")
    reason = "Input/output error; nothing was changed; try again when it can be read"
    assert (process.code, process.out) == (1, "")
    assert process.err == f"vaegan: {file.relative_to(server.folder)}: {reason}\n"
    (server.folder / "average").replace(file)
    assert read_run_files(server.folder / "disk") == before
    server.run({"disk": [RESUME]})
    (process,) = server.get_results("disk")
    assert (process.code, process.err, process.moments.count("before compute_gradients")) == (0, "", 3)
    assert read_run_files(server.folder / "disk") == read_run_files(server.folder / "whole")
