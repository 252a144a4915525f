"""Real images, and a study of tiny runs."""

import shutil
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from vaegan.evaluate.comparing.comparison import Comparison

from .studies import make_configs, run_study


@pytest.fixture(scope="session")
def digits() -> Tensor:
    """uint8 (400, 1, 8, 8)."""
    return torch.from_numpy(load_digits().images[:400] * 255 / 16).round().to(torch.uint8)[:, None]


@pytest.fixture(scope="session")
def sets(digits: Tensor, photos: Tensor) -> dict[str, Tensor]:
    """Real images at 8, 16 and 32 pixels."""
    return {"digits": digits, "small photos": photos[:, :, 8:24, 8:24], "photos": photos}


@pytest.fixture(autouse=True)
def _use_temporary_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VAEGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    folder = tmp_path_factory.mktemp("study")
    return folder, run_study(folder, make_configs())


@pytest.fixture
def copied(finished: tuple[Path, Comparison], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "study"))
