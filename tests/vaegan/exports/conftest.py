"""Fixtures: run folders with models that nothing has trained, which takes no time."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vaegan.config.schema import Config
from vaegan.models import build_model
from vaegan.storage.run_folder import Run


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[[Config], Path]:
    """Writes a run with its config and initial weights, and returns its folder."""

    def write(config: Config) -> Path:
        run = Run(tmp_path / "runs" / "made")
        run.write_config(config)
        model = build_model(config.model, config.data.image_shape, config.seed)
        names = tuple("zero one two three four five six seven eight nine".split())
        run.export(model.to(getattr(torch, config.train.dtype)), config.train.steps, names)
        return run.path

    return write
