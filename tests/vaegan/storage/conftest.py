"""A finished run, whole and as a copy that a test may damage."""

import os
from pathlib import Path

import pytest

from vaegan.data import Data, open_data
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ...tiny import tiny


@pytest.fixture(scope="module")
def data() -> Data:
    return open_data(tiny("vae").data)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data: Data) -> Path:
    return train(tiny("vae"), tmp_path_factory.mktemp("runs") / "vae", data).path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Run:
    """A copy of the finished run."""
    os.system(f"cp -r {finished} {tmp_path / 'run'}")
    return Run(tmp_path / "run")
