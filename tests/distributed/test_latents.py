"""Any number of processes encodes what one process encodes, also after a kill."""

import time
from pathlib import Path

import pytest
import torch

from vaegan.io import load_tensors
from vaegan.latents.decoding import decode_to_folder
from vaegan.latents.description import read_latent_description
from vaegan.latents.encoding import describe_encoding, encode_to_folder
from vaegan.latents.inputs import number_by_model, open_run_split
from vaegan.progress import Reporter
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run

from ..forked.client import ForkServer
from .launches import TIMEOUT_SECONDS, VAEGAN, Launch

ENCODE = ("encode", "run", "--sample", "--seed", "2", "--shard-rows", "90")
SHARDS = 16


@pytest.fixture(scope="module")
def expected(alone: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The latents of one process that was never stopped."""
    folder, model = tmp_path_factory.mktemp("latents"), load(alone.path)
    inputs = number_by_model(open_run_split(alone, "train", Reporter()), model, (), alone.path)
    batch_size = alone.config.evaluate.batch_size
    description = describe_encoding(alone, model, inputs, seed=2, shard_rows=90, batch_size=batch_size)
    encode_to_folder(model, inputs, folder, description)
    return folder


def check_equal(folder: Path, expected: Path) -> None:
    """Check that both folders have the same names, rows and statistics, bit for bit."""
    assert {path.name for path in folder.iterdir()} == {path.name for path in expected.iterdir()}
    assert (folder / "index.jsonl").read_bytes() == (expected / "index.jsonl").read_bytes()
    one, other = (torch.load(each / "latents_stats.pt", weights_only=True) for each in (folder, expected))
    assert all(torch.equal(one[name], other[name]) for name in ("mean", "std"))
    files = sorted(expected.glob("*.safetensors"))
    assert len(files) == SHARDS
    for file in files:
        tensors, others = load_tensors(folder / file.name), load_tensors(file)
        assert tensors.keys() == others.keys() == {"latents", "latents_flip", "labels"}
        assert all(torch.equal(tensors[name], others[name]) for name in tensors)


def test_two_processes_encode_and_decode_what_one_does(
    alone: Run, expected: Path, forks: ForkServer, tmp_path: Path
) -> None:
    command, _, *options = ENCODE
    latents, pictures = f"{tmp_path}/latents", f"{tmp_path}/of-two"
    code, out, err = forks.run_once([command, str(alone.path), *options], latents, 2)
    assert (code, err) == (0, "") and out.startswith(f"{latents}: 1,437 rows of 4, float32, in 16 files\n")
    check_equal(tmp_path / "latents", expected)
    assert forks.run_once(["decode", latents], pictures, 2) == (0, f"{pictures}: 1,437 pictures\n", "")
    decode_to_folder(load(alone.path), expected, read_latent_description(expected), tmp_path / "of-one")
    one, two = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("of-one", "of-two"))
    assert one == two and len(one) == 1438


def test_an_error_of_all_processes_is_printed_once(alone: Run, tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(alone.path)
    (tmp_path / "latents").mkdir()
    (tmp_path / "latents" / "mine").touch()
    code, out, err = Launch(tmp_path, *VAEGAN, *ENCODE, "-o", "latents", "--processes", "2").wait()
    message = "vaegan: --output latents: holds other files, such as mine; name an empty or a new folder\n"
    assert (code, out, err) == (2, "", message)


@pytest.mark.long
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 3)])
def test_a_killed_encoding_goes_on(before: int, after: int, alone: Run, expected: Path, tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(alone.path)
    words = (*VAEGAN, *ENCODE, "-o", "latents")
    killed = Launch(tmp_path, *words, "--processes", str(before))
    end = time.monotonic() + TIMEOUT_SECONDS
    while not list((tmp_path / "latents").glob("*.safetensors")):
        assert killed.process.poll() is None and time.monotonic() < end
        time.sleep(0.002)
    killed.kill()
    killed.wait()
    inodes = {file.name: file.stat().st_ino for file in (tmp_path / "latents").glob("*.safetensors")}
    assert 0 < len(inodes) < SHARDS
    code, _, err = Launch(tmp_path, *words, "--processes", str(after)).wait()
    assert (code, err) == (0, "")
    assert all((tmp_path / "latents" / name).stat().st_ino == inode for name, inode in inodes.items())
    check_equal(tmp_path / "latents", expected)
