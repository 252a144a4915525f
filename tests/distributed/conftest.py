from collections.abc import Iterator
from pathlib import Path

import pytest

from vaegan.config import dump_config
from vaegan.data import open_data
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ..forked.client import ForkServer
from ..tiny import LOOP_OPTIONS, tiny
from .pool import Pool

OVERRIDES = (
    *LOOP_OPTIONS, "train.dtype=float64", "train.steps=5", "evaluate.metrics=[psnr,sharpness]",
    "evaluate.batch_size=50",
)  # fmt: skip
"""Settings of the runs that are launched and of the one that they are compared with."""


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """Four processes, alive for all tests of this folder."""
    with Pool() as pool:
        yield pool


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Command lines in groups of processes that have imported everything, for all tests of this folder."""
    with ForkServer(tmp_path_factory.mktemp("forks")) as server:
        yield server


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of one process."""
    config = tiny("vaegan3", *OVERRIDES)
    return train(config, tmp_path_factory.mktemp("alone") / "run", open_data(config.data))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A working folder with the config."""
    (tmp_path / "tiny.yaml").write_text(dump_config(tiny("vaegan3", *OVERRIDES)))
    return tmp_path
