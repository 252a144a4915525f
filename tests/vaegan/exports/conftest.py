"""Fixtures: run folders with models that nothing has trained, which takes no time; a stand-in of the Hub."""

from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from vaegan.config.schema import Config
from vaegan.models import build_model
from vaegan.storage.run_folder import Run

from ...hub import TOKEN, Hub


def write_run(config: Config, path: Path) -> Path:
    """Write a run with its config and initial weights, and return its folder."""
    run = Run(path)
    run.write_config(config)
    model = build_model(config.model, config.data.image_shape, config.seed)
    names = tuple("zero one two three four five six seven eight nine".split())
    run.export(model.to(getattr(torch, config.train.dtype)), config.train.steps, names)
    return run.path


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[[Config], Path]:
    """Writes a run as `write_run` does, and returns its folder."""
    return lambda config: write_run(config, tmp_path / "runs" / "made")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A stand-in of the Hub that huggingface_hub talks to as the owner, with an empty cache."""
    server = Hub()
    for name, value in {
        "ENDPOINT": server.address,
        "HUGGINGFACE_CO_URL_TEMPLATE": f"{server.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_OFFLINE": False,
    }.items():
        monkeypatch.setattr(huggingface_hub.constants, name, value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    server.server_close()
