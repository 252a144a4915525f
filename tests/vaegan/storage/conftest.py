"""Finished runs, of an embedded set and of a folder, each a copy that a test may damage."""

import os
import shutil
from pathlib import Path

import pytest

from vaegan.data import Data, open_data
from vaegan.progress import Reporter
from vaegan.storage.run_data import move_data
from vaegan.storage.run_folder import Run
from vaegan.trainers import train
from vaegan.workflows.runs import train_run

from ...tiny import tiny
from ..data.image_sets import write_image_tree
from .folder_runs import Notes, configure


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


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 24 images in `A`, and in `run` a run that was trained on them."""
    folder = tmp_path_factory.mktemp("trained")
    train_run(configure(write_image_tree(folder / "A", 24)), folder / "run", Reporter(), resume=False)
    return folder


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    """A copy of the folder of images."""
    return Path(shutil.copytree(trained / "A", tmp_path / "A"))


@pytest.fixture
def folder_run(trained: Path, root: Path, tmp_path: Path) -> Run:
    """A copy of the run that was trained on them."""
    run = Run(shutil.copytree(trained / "run", tmp_path / "run"))
    run.write_config(move_data(run.config, root, "data.root"))
    return run


@pytest.fixture
def notes() -> Notes:
    return Notes()
