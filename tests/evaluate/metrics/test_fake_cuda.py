"""The metrics on fake CUDA tensors, which do not mix with those of the CPU and whose values nobody can read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from vaegan.config.schema import EvaluateConfig
from vaegan.data import open_data
from vaegan.evaluate.metrics.build import build_metrics
from vaegan.evaluate.metrics.dealt_rows import BLOCK_ROWS, DealtRows
from vaegan.evaluate.metrics.kid import compute_block_values, compute_kid
from vaegan.evaluate.metrics.metric import ModelPairs
from vaegan.evaluate.metrics.precision_recall import compute_prdc
from vaegan.trainers import train
from vaegan.trainers.step_cost import replace_tensors
from vaegan.trainers.steps import build_step

from ...tiny import AUTOENCODERS, tiny

METRICS = (
    "psnr", "ssim", "ms_ssim", "lpips", "sharpness", "frechet", "kid", "prdc", "elbo", "iwae", "calibration", "gap",
    "codebook", "confusion", "memorisation",
)  # fmt: skip
"""All metrics but `anomaly`, which reads the images to compress them, and `completion`, whose search is a training."""


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of a network of features."""
    config = tiny("classifier")
    return train(config, tmp_path_factory.mktemp("features") / "run", open_data(config.data)).path


@pytest.mark.parametrize("family", [*AUTOENCODERS, "vaegan1-diffusers"])
def test_the_metrics_of_a_batch_stay_on_the_device(
    family: str, classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(family)
    networks: Any = build_step(config).build_networks()
    model, discriminator = next(iter(networks.values())).eval(), networks.get("discriminator")
    evaluate = EvaluateConfig(metrics=METRICS, features=str(classifier))
    training = open_data(config.data).train
    metrics = build_metrics(
        evaluate, config.model, config.data.image_shape, 0, discriminator, None, lambda _: None, training
    )
    monkeypatch.setattr(Tensor, "__bool__", lambda _: True)  # that the images of each batch are finite
    monkeypatch.setattr(nn.Module, "to", lambda network, *arguments, **options: replace_tensors(network, "cuda"))
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        replace_tensors(model, "cuda")
        metrics["memorisation"].references = {  # type: ignore[attr-defined] # those of `prepare`, which reads images
            "pixels": torch.empty(9, 64, device="cuda"), "features": torch.empty(9, 16, device="cuda")
        }  # fmt: skip
        pixels = torch.empty(4, *config.data.image_shape, dtype=torch.uint8)
        pairs = ModelPairs(model, pixels, 0, 0)
        for metric in metrics.values():
            assert metric.measure_pairs(pairs) or metric.measure_set("sample", pairs.reconstruction, 0)
        for metric in metrics.values():
            metric.measure_set("sample", pairs.reconstruction, 0)
        assert pairs.reconstruction.device.type == "cuda"


class FakeRows(DealtRows):
    """Rows whose indices, which would be fake as well, are not read."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.shape, self.device = count, torch.Size([size]), torch.device("cuda")

    def fetch(self, indices: Tensor) -> Tensor:
        """Return rows on the GPU."""
        return torch.empty(len(indices), *self.shape, device=self.device)

    def fetch_blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield the blocks of all rows."""
        for start in range(0, self.count, BLOCK_ROWS):
            rows = slice(start, min(start + BLOCK_ROWS, self.count))
            yield rows, self.fetch(torch.arange(rows.stop - rows.start))


def test_sets_of_features_are_compared_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "item", lambda _: 0.0)
    monkeypatch.setattr(Tensor, "tolist", lambda tensor: [0.0] * len(tensor))
    with FakeTensorMode(allow_non_fake_inputs=True):
        real, other = FakeRows(BLOCK_ROWS + 100, 8), FakeRows(BLOCK_ROWS + 50, 8)
        assert compute_kid(real, other) == compute_prdc(real, other).precision == 0
        assert compute_block_values(real, other).device.type == "cpu"
