"""The images of tiny runs, W&B as on a new machine, a run folder, and trackers."""

import os
import sys
from pathlib import Path

import pytest
import wandb

from vaegan.config.load import validate_config
from vaegan.config.schema import Config
from vaegan.data import Data, open_data

from ..tiny import tiny

CLOSED_URL = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def data() -> Data:
    """The digits, as every tiny run has them."""
    return open_data(tiny("vae").data)


@pytest.fixture
def fresh_wandb(tmp_path, monkeypatch):
    """W&B as on a new machine without network: no account, its files under tmp_path, a server that is not there."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("CACHE_DIR", "CONFIG_DIR", "DATA_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / "home" / name))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", CLOSED_URL)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    wandb.teardown()
    yield
    try:
        wandb.teardown()
    except (Exception, SystemExit):
        wandb.teardown()


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """An empty run folder."""
    path = tmp_path / "digits-vae"
    path.mkdir()
    return path


@pytest.fixture
def notes() -> list[str]:
    """The notes of a tracker."""
    return []


def tracking_config(**track: object) -> Config:
    """Return a config with these settings of `track`."""
    tree = {
        "model": {"family": "vae", "beta": 0.1},
        "data": {"source": "folder", "root": "/images", "image_size": 8},
        "train": {"steps": 10},
        "track": {"wandb": "offline", **track},
    }
    return validate_config(Config, tree, "test")


def tracker_command(script: str) -> list[str]:
    """Return the command of a Python process that starts a tracker and runs a script.

    Two arguments follow: the mode of `track.wandb` and the run folder.
    """
    start = (
        "import pathlib, sys; from vaegan.config.load import validate_config; from vaegan.config.schema import Config\n"
        "from vaegan.trainers.log.tracking import Tracker\n"
        "tree = {'model': {'family': 'vae'}, 'data': {'source': 'digits', 'image_size': 8}, 'train': {'steps': 1}}\n"
        "config = validate_config(Config, tree | {'track': {'wandb': sys.argv[1]}}, 'test')\n"
        "tracker = Tracker.start(config, pathlib.Path(sys.argv[2]), None, print)\n"
    )
    return [sys.executable, "-c", start + script]
