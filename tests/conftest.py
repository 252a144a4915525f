"""Settings of every test; photographs, and weights that stand in for the published ones."""

import atexit
import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from torch import Tensor

atexit.register(gc.freeze)  # as the command line does: the end of a process then takes no seconds
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; tiny tensors are slower on more
if "VAEGAN_CACHE" not in os.environ:
    cache = TemporaryDirectory()
    atexit.register(cache.cleanup)
    os.environ["VAEGAN_CACHE"] = cache.name
for ignored, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(ignored) == signal.SIG_IGN:  # as in the background of a shell; tests send them
        signal.signal(ignored, usual)


@pytest.fixture(scope="session")
def photos() -> "Tensor":
    """uint8 (120, 3, 32, 32): crops of scikit-learn's photographs at half size."""
    import numpy as np
    import torch
    import torch.nn.functional as F
    from sklearn.datasets import load_sample_image

    draw = np.random.default_rng(0)
    crops = []
    for name in ("china.jpg", "flower.jpg"):
        picture = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)[None].float()
        picture = F.interpolate(picture, scale_factor=0.5, mode="bilinear", antialias=True)[0]
        for _ in range(60):
            top, left = draw.integers(0, picture.shape[1] - 32), draw.integers(0, picture.shape[2] - 32)
            crops.append(picture[:, top : top + 32, left : left + 32])
    return torch.stack(crops)[draw.permutation(120)].round().to(torch.uint8)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Puts a file in the published format, with random weights, where torch hub would keep the real one."""
    from vaegan.pretrained import WEIGHT_FILES

    from .standins import write_backbone

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def write(network: str) -> Path:
        file = write_backbone(network)
        monkeypatch.setitem(WEIGHT_FILES, network, file)
        return file.path

    return write


@pytest.fixture
def no_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No published weights on this machine, and an error where something is downloaded."""
    import urllib.request

    import torch

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
