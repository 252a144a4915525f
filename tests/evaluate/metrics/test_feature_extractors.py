from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from pytorch_fid.inception import InceptionV3
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchmetrics.image.fid import NoTrainInceptionV3

from vaegan.errors import UserError
from vaegan.evaluate.metrics import feature_extractors
from vaegan.evaluate.metrics.feature_extractors import InceptionExtractor
from vaegan.images import to_float
from vaegan.pretrained import WEIGHT_FILES

from ..distortions import evaluate


@pytest.fixture
def inception(stand_in: Callable[[str], Path]) -> Path:
    return stand_in("inception")


def test_inceptions_features_are_those_of_the_packages(inception: Path, photos: Tensor) -> None:
    pixels = photos[:3]
    with torch.no_grad():
        ours = InceptionExtractor()(to_float(pixels))
        fidelity = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(inception))
        metrics = NoTrainInceptionV3("inception", ["2048"], str(inception), antialias=False)
        assert torch.equal(ours, fidelity(pixels)[0])
        assert torch.allclose(ours, metrics(pixels), rtol=1e-6, atol=1e-6)
        grey = pixels[:, :1]
        assert torch.equal(InceptionExtractor()(to_float(grey)), fidelity(grey.expand(-1, 3, -1, -1))[0])
    assert ours.shape == (3, 2048) and ours.std() > 0.01


def test_other_packages_enlarge_otherwise_and_are_the_same_apart_from_that(inception: Path, photos: Tensor) -> None:
    """They count pixels by their centres (as PyTorch does), TensorFlow 1 and torch-fidelity by their corners.

    pytorch-fid also takes (x - 127.5) / 127.5 where the network was trained on (x - 128) / 128.
    """
    state = torch.load(inception, weights_only=True)
    with patch("pytorch_fid.inception.load_state_dict_from_url", return_value=state):
        seitzer = InceptionV3(resize_input=False).eval()
    with patch("pytorch_fid.inception.load_state_dict_from_url", return_value=state):
        resizing = InceptionV3().eval()
    smoothing = NoTrainInceptionV3("inception", ["2048"], str(inception))
    ours, pixels = InceptionExtractor(), photos[:2]

    def enlarge(antialias: bool) -> Tensor:
        return F.interpolate(pixels.float(), size=(299, 299), mode="bilinear", antialias=antialias)

    def close(one: Tensor, other: Tensor) -> bool:
        return bool((one - other).norm() < 1e-5 * other.norm())

    with torch.no_grad():
        large = enlarge(False).round().to(torch.uint8)
        features = ours(to_float(large))
        assert close(features, seitzer(((large.float() - 128) / 128 + 1) / 2)[0].flatten(1))
        assert close(features, smoothing(large)), "nothing is left to enlarge"
        assert close(resizing(pixels / 255)[0].flatten(1), seitzer(enlarge(False) / 255)[0].flatten(1))
        gaps = [
            ((ours(to_float(pixels)) - other).norm() / other.norm()).item()
            for other in (resizing(pixels / 255)[0].flatten(1), smoothing(pixels))
        ]
    assert min(gaps) > 0.005


def test_what_inception_wants_is_said_in_one_line(stand_in, monkeypatch, tmp_path: Path, photos: Tensor) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(UserError) as caught:
        evaluate(photos[:4], lambda images: images, "frechet")
    line = str(caught.value)
    assert line.startswith("evaluate.features: inception needs ") and "\n" not in line
    assert (
        str(WEIGHT_FILES["inception"].path) in line
        and WEIGHT_FILES["inception"].url in line
        and "train-features" in line
    )
    monkeypatch.setattr(feature_extractors, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'vaegan\[fid\]'"):
        InceptionExtractor()
