"""Any number of processes generates what one process generates, also after a kill."""

import time
from pathlib import Path

import pytest

from vaegan.storage.run_folder import Run

from ..forked.client import ForkServer
from .launches import TIMEOUT_SECONDS, VAEGAN, Launch

GENERATE = ("generate", "run", "-n", "400", "--density", "gaussian", "--shard-rows", "30")


def read(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def expected(alone: Run, forks: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The images of one process that was never stopped."""
    return generate(alone, forks, tmp_path_factory.mktemp("generated"), processes=1)


def generate(run: Run, forks: ForkServer, folder: Path, processes: int) -> dict[str, bytes]:
    """Return the files that a number of processes generates."""
    command, _, *options = GENERATE
    code, out, err = forks.run_once([command, str(run.path), *options], f"{folder}/images", processes)
    assert (code, err) == (0, "")
    assert out == f"{folder}/images: 400 images, drawn from Gaussian, fitted to 1,437 codes\n"
    return read(folder / "images")


def test_two_processes_generate_what_one_does(
    alone: Run, expected: dict[str, bytes], forks: ForkServer, tmp_path: Path
) -> None:
    found = generate(alone, forks, tmp_path, processes=2)
    assert len(found) == 401
    assert {**found, "generated.json": b""} == {**expected, "generated.json": b""}


@pytest.mark.long
def test_a_killed_generation_goes_on(alone: Run, expected: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(alone.path)
    words, folder = (*VAEGAN, *GENERATE, "-o", "images"), tmp_path / "images"
    killed = Launch(tmp_path, *words, "--processes", "2")
    end = time.monotonic() + TIMEOUT_SECONDS
    while not list(folder.glob("*.png")):
        assert killed.process.poll() is None and time.monotonic() < end
        time.sleep(0.002)
    killed.kill()
    killed.wait()
    inodes = {file: file.stat().st_ino for file in folder.glob("*.png")}
    assert 0 < len(inodes) < 400
    code, _, err = Launch(tmp_path, *words).wait()
    assert (code, err) == (0, "")
    kept = sum(file.stat().st_ino == inode for file, inode in inodes.items())
    assert kept >= len(inodes) - 2  # each process may have been stopped within one
    assert {**read(folder), "generated.json": b""} == {**expected, "generated.json": b""}
