"""Usage of a codebook, and what its codes cost."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaegan.config.schema import EvaluateConfig
from vaegan.data import open_data
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.images import to_float
from vaegan.losses.quantisation import perplexity, usage
from vaegan.models import VQVAE, PixelCNN
from vaegan.storage.loading import load
from vaegan.trainers import train

from ...tiny import tiny, train_once
from ..distortions import to_split

CONFIG = EvaluateConfig(metrics=("psnr", "codebook", "elbo", "gap"), batch_size=16)


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> PixelCNN:
    config = tiny("pixelcnn")
    model = load(train(config, tmp_path_factory.mktemp("runs") / "prior", open_data(config.data)).path)
    assert isinstance(model, PixelCNN)
    return model


def test_a_codebook_is_counted_over_all_places_of_all_images(digits: Tensor) -> None:
    model = load(train_once("vqvae"))
    assert isinstance(model, VQVAE)
    evaluation = evaluate_model(model, to_split(digits[:50]), CONFIG, seed=0)
    with torch.no_grad():
        counts = torch.bincount(model.encode_indices(to_float(digits[:50])).flatten(), minlength=8)
    assert evaluation.metrics.pop("reconstruction/psnr") > 5
    assert evaluation.metrics == {
        "codebook/perplexity": pytest.approx(perplexity(counts)),
        "codebook/usage": usage(counts),
        "rate": pytest.approx(4 * math.log2(8)),
    }, "it has no prior, and so neither bound nor gap"
    assert evaluation.protocol["samples"] == 0


def test_a_priors_rate_is_its_negative_log_likelihood(prior: PixelCNN, digits: Tensor) -> None:
    evaluation = evaluate_model(prior, to_split(digits[:50]), CONFIG, seed=0)
    with torch.no_grad():
        indices = prior.encode_indices(to_float(digits[:50]))
        shares = prior.prior(indices).softmax(1)
        log_probabilities = shares.gather(1, indices[:, None]).log2().sum((1, 2, 3))
    assert evaluation.metrics["rate"] == pytest.approx(-log_probabilities.mean().item(), rel=1e-5)
    assert evaluation.metrics["rate"] != pytest.approx(4 * math.log2(8), rel=1e-3)


def test_samples_are_decoded_entries_and_each_is_its_own(prior: PixelCNN, tmp_path: Path) -> None:
    codes = prior.draw_prior_codes(0, 20, seed=1)
    assert torch.equal(torch.cat([prior.draw_prior_codes(0, 7, 1), prior.draw_prior_codes(7, 20, 1)]), codes)
    entries = codes.unflatten(1, (4, 2, 2)).movedim(1, -1).reshape(-1, 4)
    known = (entries[:, None] == prior.autoencoder.codebook).all(2).any(1)
    assert known.all() and len(entries.unique(dim=0)) > 4
    assert prior.sample(3).shape == (3, 1, 8, 8)
