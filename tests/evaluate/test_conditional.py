"""A conditional model is evaluated with the images' own labels, and its samples with the classes in turn."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vaegan.config.codebooks import PixelCNNConfig, VQVAEConfig
from vaegan.config.models import VAEConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.data import Images
from vaegan.density_fitting import fit_density_to_images
from vaegan.errors import UserError
from vaegan.evaluate.metrics import completion
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.evaluate.one_pass import ImageSplit
from vaegan.evaluate.report.image_sheets import (
    INTERPOLATION_STEPS,
    build_interpolations,
    build_reconstructions,
    to_data_uris,
)
from vaegan.evaluate.result import EvaluationResult
from vaegan.images import draw_image_grid, to_float, to_uint8
from vaegan.models import VAE, PixelCNN
from vaegan.trainers.log import grids

COUNT, CLASSES = 13, 3
METRICS = ("psnr", "elbo", "iwae", "calibration", "gap", "anomaly", "completion")


def split(labels: Tensor | None = None) -> Images:
    """Return the images of a split, of the classes in turn if no others are given."""
    pixels = torch.randint(0, 256, (COUNT, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    labels = torch.arange(COUNT) % CLASSES if labels is None else labels
    return Images(pixels, torch.arange(COUNT), labels, ("a", "b", "c"))


def build_conditional() -> VAE:
    config = VAEConfig(network="mlp", width=8, latent_size=4, labels=CLASSES)
    model = VAE(config, (1, 8, 8), 0).double()
    nn.init.normal_(model.encoder.head.weight, std=0.3, generator=torch.Generator().manual_seed(1))
    return model.requires_grad_(False)


def fold_class(model: VAE, label: int) -> VAE:
    """Return the unconditional model that is the same function for one class: what the class adds becomes a bias."""
    plain = VAE(model.config.model_copy(update={"labels": None}), (1, 8, 8), 0).double().requires_grad_(False)
    weights = model.state_dict()
    plane = weights.pop("encoder.plane.weight")[label]
    enter, codes = "encoder.trunk.stages.0.0", "decoder.trunk.layers.0.0"
    weights[f"{enter}.bias"] = weights[f"{enter}.bias"] + weights[f"{enter}.weight"][:, 64:] @ plane
    weights[f"{enter}.weight"] = weights[f"{enter}.weight"][:, :64]
    weights[f"{codes}.bias"] = weights[f"{codes}.bias"] + weights[f"{codes}.weight"][:, 4 + label]
    weights[f"{codes}.weight"] = weights[f"{codes}.weight"][:, :4]
    plain.load_state_dict(weights)
    return plain


def evaluate(model: nn.Module, images: Images, *metrics: str, **others: object) -> EvaluationResult:
    config = EvaluateConfig(metrics=metrics, batch_size=5, importance_samples=3)
    return evaluate_model(model, ImageSplit("test", images), config, seed=3, **others)


def test_images_of_one_class_are_evaluated_as_by_the_model_of_that_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "STEPS", 3)
    model = build_conditional()
    results = [evaluate(model, split(torch.full((COUNT,), label)), *METRICS) for label in range(CLASSES)]
    for label, one in enumerate(results):
        expected = evaluate(fold_class(model, label), split(), *METRICS)
        assert one.metrics == pytest.approx(expected.metrics, rel=1e-9)
        assert one.protocol["labels"] and expected.protocol["labels"] is None
    mixed = evaluate(model, split(), *METRICS)
    for name in ("reconstruction/psnr", "elbo", "iwae", "calibration/coverage", "calibration/width"):
        scores = torch.stack([one.scores[name] for one in results])
        assert len(scores[:, 0].unique(dim=0)) == CLASSES
        torch.testing.assert_close(mixed.scores[name], scores[torch.arange(COUNT) % CLASSES, torch.arange(COUNT)])


def test_the_codes_of_a_conditional_prior_cost_what_it_says_of_their_class() -> None:
    vqvae = VQVAEConfig(width=8, residual_width=4, depth=1, codes=8, code_size=4)
    config = PixelCNNConfig(width=8, depth=1, autoencoder=vqvae, labels=CLASSES)
    model = PixelCNN(config, (1, 8, 8), 0).requires_grad_(False)
    images = split()
    indices = model.encode_indices(to_float(images.store))
    bits = model.prior_nll(indices, images.labels).mean().item() / np.log(2)
    assert evaluate(model, images, "codebook").metrics["rate"] == pytest.approx(bits, rel=1e-6)
    assert bits != pytest.approx(model.prior_nll(indices, 0).mean().item() / np.log(2), rel=1e-3)


def test_a_density_is_fitted_to_codes_of_the_images_own_classes() -> None:
    model = build_conditional()
    one = fit_density_to_images("gaussian", model, split(torch.full((COUNT,), 2)), 3, 5)
    torch.testing.assert_close(one.means, fit_density_to_images("gaussian", fold_class(model, 2), split(), 3, 5).means)
    mixed = fit_density_to_images("gaussian", model, split(), 3, 5).means
    for label in range(CLASSES):
        assert not torch.allclose(
            fit_density_to_images("gaussian", model, split(torch.full((COUNT,), label)), 3, 5).means, mixed
        )


@pytest.mark.parametrize("labels", [(torch.zeros(COUNT).long(), ("a", "b")), (None, ())])
def test_images_without_these_labels_are_refused(labels: tuple[Tensor | None, tuple[str, ...]]) -> None:
    images = Images(split().store, split().indices, *labels)
    with pytest.raises(UserError, match=r"give model\.labels=2$|have no labels"):
        evaluate(build_conditional(), images, "psnr")


def test_pictures_show_each_image_in_its_class_and_a_way_in_that_of_its_first() -> None:
    model, images = build_conditional(), split()
    real, labels = images.store[:4], images.labels[:4]
    made = to_uint8(model.reconstruct(to_float(real, torch.float64), labels))
    sheet = build_reconstructions({"a": model}, real, {"a": labels}).sheet
    assert [column.tiles[1].views["image"] for column in sheet.columns] == to_data_uris(made)
    drawn = grids.draw_grids(model, real, labels, seed=2)
    assert drawn["sample"].tobytes() == draw_image_grid(model.sample(32, 2), columns=8).tobytes()
    (first, second) = build_interpolations({"a": model}, real, {"a": labels})
    codes = model.encode(to_float(real, torch.float64), labels).mean
    for sheet, start in ((first, 0), (second, 2)):
        ends = [to_uint8(model.decode(codes[[place]], int(labels[start]))) for place in (start, start + 1)]
        shown = [sheet.columns[step].tiles[1].views["image"] for step in (0, INTERPOLATION_STEPS - 1)]
        assert shown == to_data_uris(torch.cat(ends))
