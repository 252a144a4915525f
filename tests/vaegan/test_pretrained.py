"""Files of published weights: found, verified, fetched and read."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vaegan.errors import Failure, UserError
from vaegan.io import hash_file
from vaegan.pretrained import WEIGHT_FILES, WeightFile, hash_weights


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A small state dict, where it is published."""
    torch.save({"layer.weight": torch.arange(6.0).view(2, 3)}, tmp_path / "net-1234.pth")
    return tmp_path / "net-1234.pth"


@pytest.fixture
def file(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightFile:
    """What describes it; nothing is fetched yet."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return WeightFile("metric", published.as_uri(), published.stat().st_size, hash_file(published))


def test_a_fetched_file_is_read(file: WeightFile, tmp_path: Path) -> None:
    assert not file.exists and file.path == tmp_path / "torch/hub/checkpoints/net-1234.pth"
    with pytest.raises(UserError, match=r"net-1234\.pth: there is no such file; `vaegan weights --fetch` brings it"):
        file.read()
    file.fetch()
    assert file.exists and not file.damaged
    assert torch.equal(file.read()["layer.weight"], torch.arange(6.0).view(2, 3))


def test_a_damaged_file_is_not_opened_and_can_be_fetched_again(file: WeightFile, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    file.path.parent.mkdir(parents=True)
    torch.save({"layer.weight": Trap()}, file.path)
    assert file.exists and file.damaged
    with pytest.raises(UserError, match=r"damaged or another file .*; remove it, and `vaegan weights --fetch`"):
        file.read()
    with pytest.raises(UserError, match="not a file of weights"):
        replace(file, sha256=hash_file(file.path)).read()  # even with the right hash
    assert not (tmp_path / "sprung").exists()
    file.fetch()
    assert not file.damaged


def test_what_cannot_be_fetched_names_the_place_to_put_it(file: WeightFile) -> None:
    for other in (replace(file, url=f"{file.url}.gone"), replace(file, sha256="0" * 64)):
        with pytest.raises(Failure, match=r"could not be fetched \(.*\); put it at .*/torch/hub/checkpoints/net-1234"):
            other.fetch()
        assert not other.exists


def test_published_files_are_described_completely() -> None:
    for file in WEIGHT_FILES.values():
        assert (
            len(file.sha256) == 64 and file.sha256[:8] in file.url and file.size > 0 and file.url.startswith("https:")
        )


def test_the_hash_of_weights_depends_on_every_one() -> None:
    network = torch.nn.Linear(3, 2)
    before = hash_weights(network)
    assert len(before) == 8 and hash_weights(network) == before
    with torch.no_grad():
        network.bias[1] += 1e-7
    assert hash_weights(network) != before
