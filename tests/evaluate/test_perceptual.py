import hashlib
import pickle
import urllib.request
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.errors import Mistake
from vaegan.evaluate import perceptual
from vaegan.evaluate.perceptual import backbone_path, distance, random_network, trained_network
from vaegan.images import to_float
from vaegan.randomness import seeded

from .controls import blur, judge, noisy


@pytest.fixture(autouse=True)
def no_network_and_no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def package(**settings: object) -> torch.nn.Module:
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net="alex", verbose=False, pnet_rand=True, **settings)


def prepared(images: Tensor) -> Tensor:
    """As a user of the package would by hand."""
    colour = images.float() if images.shape[1] == 3 else torch.cat([images.float()] * 3, 1)
    return colour if colour.shape[-1] >= 64 else F.interpolate(colour, size=64, mode="bilinear")


def test_random_backbone_is_the_packages_own_result(sets: dict[str, Tensor]) -> None:
    with seeded(0, "lpips"):
        reference = package(lpips=False)
    for pixels in sets.values():
        images = to_float(pixels[:20], torch.float64)
        other = noisy(blur(images, 0.7), 0.1)
        with torch.no_grad():
            expected = reference(prepared(images), prepared(other)).flatten()
        assert torch.allclose(distance(random_network(), images, other), expected, rtol=0, atol=1e-6)
        assert expected.min() > 1e-3


def test_trained_backbone_is_the_packages_own_result(stand_in: Path, photos: Tensor) -> None:
    reference = package(lpips=True, pretrained=True)
    weights = torch.load(stand_in, weights_only=True)
    reference.net.load_state_dict(
        {f"slice{part}.{layer}.{kind}": weights[f"features.{layer}.{kind}"]
         for part, layer in enumerate((0, 3, 6, 8, 10), start=1) for kind in ("weight", "bias")}
    )  # fmt: skip
    pixels = photos[:16]
    evaluation = judge(pixels, lambda images: blur(images, 1.0), "lpips")
    rounded = to_float(((blur(to_float(pixels), 1.0) + 1) * 127.5).round().to(torch.uint8))
    with torch.no_grad():
        expected = reference(prepared(to_float(pixels)), prepared(rounded)).mean().item()
    assert evaluation.metrics == {"reconstruction/lpips_alex": pytest.approx(expected, abs=1e-6)}
    assert expected > 1e-3
    assert evaluation.protocol["lpips"]["network"] == "alex"
    assert evaluation.protocol["lpips"]["resolution"] == 64
    assert evaluation.protocol["lpips"]["resize"] == "bilinear"


def test_without_weights_the_figure_is_named_random_and_the_notice_says_where_they_go(photos: Tensor) -> None:
    notices: list[str] = []
    metric = perceptual.LPIPS(32, notices.append)
    assert metric.name == "lpips_random"
    (notice,) = notices
    assert str(backbone_path()) in notice
    assert "lpips_random" in notice
    assert "\n" not in notice
    evaluation = judge(photos[:4], lambda images: images, "lpips")
    assert evaluation.metrics == {"reconstruction/lpips_random": 0}
    assert evaluation.protocol["lpips"]["network"] == "alex, random and uncalibrated"


class Bomb:
    """Runs code when it is unpickled carelessly."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def test_a_damaged_file_is_refused_before_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    path = backbone_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no weights")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(Mistake, match="SHA-256 does not begin with 7be5be79") as error:
        perceptual.LPIPS(32, lambda _: None)
    assert str(path) in str(error.value)


def test_no_code_of_a_file_is_run_even_if_its_hash_is_right(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    content = pickle.dumps(Bomb(mark), protocol=2)
    path = tmp_path / f"alexnet-owt-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    path.write_bytes(content)
    with pytest.raises(Mistake, match="not the weights of torchvision's AlexNet"):
        trained_network(path)
    assert not mark.exists()


def test_the_random_backbone_is_always_the_same_and_takes_no_randomness() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = random_network().state_dict()
    assert torch.equal(torch.rand(1), expected)
    second = random_network().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_is_float32_whatever_is_around_it(photos: Tensor) -> None:
    images = to_float(photos[:4])
    network, other = random_network(), noisy(images, 0.01)
    expected = distance(network, images, other)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(distance(network, images, other), expected)
    assert distance(network, images.double(), other.double()).dtype == torch.float32
