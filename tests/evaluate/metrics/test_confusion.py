import pytest
import torch
from torch import Tensor, nn

from vaegan.config.schema import EvaluateConfig
from vaegan.data import Images
from vaegan.evaluate.metrics.metric import round_to_8_bits
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.evaluate.one_pass import ImageSplit
from vaegan.evaluate.result import EvaluationResult
from vaegan.images import to_float
from vaegan.losses.adversarial import count_predictions
from vaegan.models import GANVAE, VAEGAN
from vaegan.networks.build import build_discriminator

from ...tiny import tiny

COUNT = 13


@pytest.mark.parametrize("condition", ["projection", "auxiliary", "none"])
def test_the_discriminator_gets_the_classes_of_real_and_fake_images(condition: str) -> None:
    config = tiny("vaegan3", "model.labels=3", f"model.discriminator.condition={condition}").model
    model = VAEGAN(config, (1, 8, 8), 0).double().requires_grad_(False)
    network = build_discriminator(config, (1, 8, 8), 0).double().requires_grad_(False)
    if condition == "projection":
        network.projection.weight *= 3
    pixels = torch.randint(0, 256, (COUNT, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    turns = torch.arange(COUNT) % 3
    images = Images(pixels, torch.arange(COUNT), turns.flip(0), ("a", "b", "c"))
    real = to_float(images.store, torch.float64)
    rows = [
        network(batch, labels=labels).scores
        for batch, labels in (
            (real, images.labels),
            (round_to_8_bits(model.reconstruct(real, images.labels)), images.labels),
            (round_to_8_bits(model.sample(COUNT, 3, labels=turns)), turns),
        )
    ]
    settings = EvaluateConfig(metrics=("confusion",), batch_size=5)
    evaluation = evaluate_model(model, ImageSplit("test", images), settings, seed=3, discriminator=network)
    assert evaluation.matrices["discriminator/confusion"] == [count_predictions(scores).tolist() for scores in rows]


def evaluate_confusion(
    name: str, kind: type[VAEGAN | GANVAE]
) -> tuple[VAEGAN | GANVAE, nn.Module, Tensor, EvaluationResult]:
    """Return a model, its discriminator, real images in [−1, 1] and the evaluation on them."""
    config = tiny(name).model
    model = kind(config, (1, 8, 8), 0).double().requires_grad_(False)
    network = build_discriminator(config, (1, 8, 8), 0).double().requires_grad_(False)
    pixels = torch.randint(0, 256, (COUNT, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    split = ImageSplit("test", Images(pixels, torch.arange(COUNT), None, ()))
    settings = EvaluateConfig(metrics=("confusion",), batch_size=5)
    evaluation = evaluate_model(model, split, settings, seed=3, discriminator=network)
    return model, network, to_float(pixels, torch.float64), evaluation


def test_patches_are_counted_and_images_that_the_discriminator_never_saw_are_left_out() -> None:
    model, network, real, evaluation = evaluate_confusion("vaegan1-grid", VAEGAN)
    rows = [network(batch).scores for batch in (real, round_to_8_bits(model.reconstruct(real)))]
    matrix = evaluation.matrices["discriminator/confusion"]
    assert matrix == [count_predictions(scores).tolist() for scores in rows]
    assert [sum(row) for row in matrix] == [COUNT * rows[0][0, 0].numel()] * 2 and rows[0][0, 0].numel() > 1
    protocol = evaluation.protocol["confusion"]
    assert (protocol["rows"], protocol["counts"]) == (["real", "reconstructed"], "patches")
    assert evaluation.protocol["samples"] == 0


def test_reconstructions_are_left_out_where_the_discriminator_never_saw_any() -> None:
    model, network, real, evaluation = evaluate_confusion("ganvae", GANVAE)
    batches = (real, round_to_8_bits(model.sample(COUNT, 3)))
    expected = [count_predictions(network(batch).scores).tolist() for batch in batches]
    assert evaluation.matrices["discriminator/confusion"] == expected
    assert evaluation.protocol["confusion"]["rows"] == ["real", "generated"]
