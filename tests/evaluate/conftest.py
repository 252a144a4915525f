"""Real images, and weights that stand in for the real ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits, load_sample_image
from torch import Tensor

from vaegan.pretrained import WEIGHT_FILES

from ..standins import write_backbone


@pytest.fixture(scope="session")
def digits() -> Tensor:
    """uint8 (400, 1, 8, 8)."""
    return torch.from_numpy(load_digits().images[:400] * 255 / 16).round().to(torch.uint8)[:, None]


@pytest.fixture(scope="session")
def photos() -> Tensor:
    """uint8 (120, 3, 32, 32): crops of scikit-learn's photographs at half size."""
    draw = np.random.default_rng(0)
    crops = []
    for name in ("china.jpg", "flower.jpg"):
        picture = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)[None].float()
        picture = F.interpolate(picture, scale_factor=0.5, mode="bilinear", antialias=True)[0]
        for _ in range(60):
            top, left = draw.integers(0, picture.shape[1] - 32), draw.integers(0, picture.shape[2] - 32)
            crops.append(picture[:, top : top + 32, left : left + 32])
    return torch.stack(crops)[draw.permutation(120)].round().to(torch.uint8)


@pytest.fixture(scope="session")
def sets(digits: Tensor, photos: Tensor) -> dict[str, Tensor]:
    """Real images at 8, 16 and 32 pixels."""
    return {"digits": digits, "small photos": photos[:, :, 8:24, 8:24], "photos": photos}


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VAEGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Puts a file in the published format, with random weights, where torch hub would keep the real one."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def write(network: str) -> Path:
        file = write_backbone(network)
        monkeypatch.setitem(WEIGHT_FILES, network, file)
        return file.path

    return write
