"""The detection of planted defects is scikit-learn's area of the scores of the same images with and without them."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from vaegan.applications.anomaly_scores import SCORES, Judges, compute_anomaly_scores
from vaegan.applications.planted_defects import plant_defects
from vaegan.config.schema import EvaluateConfig
from vaegan.evaluate.metric_descriptions import METRIC_DESCRIPTIONS
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.evaluate.result import EvaluationResult
from vaegan.losses.perceptual import build_random_lpips_network
from vaegan.models import Autoencoder, build_model
from vaegan.networks.build import build_discriminator

from ...tiny import tiny
from ..distortions import blur, evaluate, to_split


def measure(model: Autoencoder, pixels: Tensor, batch_size: int = 64, **others: object) -> EvaluationResult:
    settings = EvaluateConfig(metrics=("anomaly",), batch_size=batch_size)
    return evaluate_model(model, to_split(pixels), settings, seed=4, notify=lambda _: None, **others)


@pytest.mark.parametrize("name", ["vaegan3", "vqvae"])
def test_areas_are_scikit_learns_whatever_the_batches(name: str) -> None:
    options = ("model.labels=null",) if name == "vaegan3" else ()
    config = tiny(name, *options)
    model = build_model(config.model, (1, 8, 8), 0).double().eval()
    discriminator = build_discriminator(config.model, (1, 8, 8), 0).double().eval() if options else None
    pixels = torch.randint(0, 256, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    result = measure(model, pixels, discriminator=discriminator)
    again = measure(model, pixels, batch_size=7, discriminator=discriminator)
    assert again.metrics == pytest.approx(result.metrics, abs=1e-9)
    names = ["pixels", "lpips", "elbo", "elbo_complexity", "realness"][: 5 if options else 2]
    planted = plant_defects(pixels, 4).images
    judges = Judges(build_random_lpips_network(), realness=discriminator)
    scores = [compute_anomaly_scores(names, model, images, judges) for images in (pixels, planted)]
    for score in names:
        key = f"anomaly/auc_{score}".replace("lpips", "lpips_random")
        expected = roc_auc_score(np.arange(80) >= 40, torch.cat([each[score] for each in scores]))
        assert result.metrics[key] == pytest.approx(expected, abs=1e-9), key
        assert result.scores[key].mean().item() == result.metrics[key] and len(result.scores[key]) == 40
    assert len(result.metrics) == len(names) and result.metrics.keys() <= METRIC_DESCRIPTIONS.keys()


def test_a_model_that_keeps_no_detail_finds_more_than_one_that_keeps_all(photos: Tensor) -> None:
    """A copy has no error anywhere; a blur has one where the defect's edges are."""
    copy, blurred = (
        evaluate(photos, distort, "anomaly", scale=0.1).metrics["anomaly/auc_pixels"]
        for distort in (lambda images: images, lambda images: blur(images, 3.0))
    )
    assert copy == 0.5 and blurred > 0.55


def test_every_score_of_the_metric_is_one_of_the_command() -> None:
    keys = [key.removeprefix("anomaly/auc_") for key in METRIC_DESCRIPTIONS if key.startswith("anomaly/")]
    assert {"lpips" if key.startswith("lpips") else key for key in keys} <= SCORES.keys()
