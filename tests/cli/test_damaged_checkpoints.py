"""A resume whose newest checkpoint is damaged says so, and goes on from the one before it."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vaegan.config import dump

from ..forked.client import Command, Forked
from ..tiny import EVERYTHING, left_behind, tiny

STEPS = ("train.steps=9", "train.checkpoint_every=2", "train.log_every=1")
RESUME = Command(["train", "config.yaml", "--resume"], "moment 0")


def truncated(file: Path) -> None:
    """The file ends in its middle."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flipped(file: Path) -> None:
    """One bit of the file is another."""
    contents = bytearray(file.read_bytes())
    contents[len(contents) // 2] ^= 1
    file.write_bytes(contents)


DAMAGES: dict[str, list[tuple[str, Callable[[Path], None]]]] = {
    "truncated": [("step_00000006/average.safetensors", truncated)],
    "missing": [("step_00000006/discriminator.optimizer.safetensors", Path.unlink)],
    "flipped": [("step_00000006/autoencoder.safetensors", flipped)],
    "state": [("step_00000006/state.json", flipped)],
    "checksums": [("step_00000006/sha256.json", Path.unlink)],
    "both": [("step_00000006/autoencoder.safetensors", flipped), ("step_00000004/state.json", truncated)],
}
"""Files of the checkpoints, and what becomes of them."""


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    """A training killed in its eighth step, and resumed after each kind of damage."""
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "config.yaml").write_text(dump(tiny("vaegan3", *EVERYTHING, *STEPS)))
    with Forked(folder) as forked:
        forked.do({"whole": [RESUME], "killed": [Command(["train", "config.yaml"], "SIGKILL@7")]})
        for name, damages in DAMAGES.items():
            shutil.copytree(folder / "killed", folder / name)
            for file, damage in damages:
                damage(folder / name / "checkpoints" / file)
        forked.do({name: [RESUME] for name in DAMAGES})
        yield forked


@pytest.mark.parametrize("name", DAMAGES)
def test_the_checkpoint_before_a_damaged_one_is_used(forked: Forked, name: str) -> None:
    (killed,), (ended,) = forked.ended("killed"), forked.ended(name)
    assert (killed.code, ended.code) == (-9, 0)
    notes = ended.err.splitlines()
    assert len(notes) == len(DAMAGES[name])
    for note, (file, _) in zip(notes, DAMAGES[name], strict=True):
        checkpoint, _, damaged = file.partition("/")
        assert note.startswith(f"{name}/checkpoints/{checkpoint}: damaged (") and damaged in note
    used = 4 if name != "both" else 0
    assert ended.moments.count("before gradients") == 9 - used
    whole, found = left_behind(forked.folder / "whole"), left_behind(forked.folder / name)
    assert found.keys() == whole.keys()
    assert [path for path in found if found[path] != whole[path]] == []
    assert json.loads(whole["checkpoints/step_00000009/state.json"])["step"] == 9
