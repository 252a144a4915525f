"""Directions of attributes: planted ones are found and scaled, kept to the bit, and move images as the model says."""

import dataclasses
import math
import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.applications.attributes import (
    Attribute,
    check_attribute_file,
    check_translates,
    edit_images,
    estimate_accuracy,
    learn_attribute,
    load_attribute,
    save_attribute,
    translate_images,
)
from vaegan.errors import Failure, UserError
from vaegan.io import load_tensors, save_tensors
from vaegan.models import AE, VAE, VQVAE, Autoencoder, PixelCNN
from vaegan.randomness import draw_normal

SHAPE = (1, 8, 8)
NAMES = {"positive": "smiling", "negative": "neutral", "weights": "ab"}


def plant(count: int, mixing: Tensor, planted: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Draw codes with covariance mixing' mixing, of which each third one is moved by the planted direction."""
    is_positive = torch.arange(count) % 3 == 0
    return draw_normal((count, len(planted)), 3, name).double() @ mixing + is_positive[:, None] * planted, is_positive


def learn(mixing: Tensor, planted: Tensor) -> Attribute:
    return learn_attribute(*plant(6000, mixing, planted, "a"), *plant(900, mixing, planted, "b"), **NAMES)


def make_images(count: int) -> Tensor:
    return draw_normal((count, *SHAPE), 0, "x").tanh()


def test_a_planted_direction_is_found_and_one_is_the_way_from_mean_to_mean() -> None:
    planted = torch.tensor([2.0, -1, 0, 0.5, 0, 1]).double()
    codes, is_positive = plant(6000, torch.eye(6).double(), planted, "a")
    learned = learn(torch.eye(6).double(), planted)
    positive, negative = codes[is_positive].mean(0), codes[~is_positive].mean(0)
    torch.testing.assert_close(negative + learned.directions["mean"], positive, rtol=0, atol=1e-12)
    for direction in learned.directions.values():
        assert F.cosine_similarity(direction, planted, 0) > 0.99
        unit = direction / direction.norm()
        torch.testing.assert_close(unit @ (negative + direction), unit @ positive, rtol=0, atol=1e-12)


def test_with_correlated_codes_the_regression_finds_the_discriminant_and_the_mean_the_shift() -> None:
    mixing = torch.tensor([[3.0, 1, 0], [0, 1, 0.3], [0, 0, 0.4]]).double()
    planted = torch.tensor([1.0, 1, 0]).double()
    learned = learn(mixing, planted)
    discriminant = torch.linalg.solve(mixing.mT @ mixing, planted)  # of two Gaussians of one covariance (Fisher)
    assert F.cosine_similarity(learned.directions["mean"], planted, 0) > 0.99
    assert F.cosine_similarity(learned.directions["logistic"], discriminant, 0) > 0.99
    assert F.cosine_similarity(planted, discriminant, 0) < 0.9
    assert learned.header.accuracies["logistic"].value > learned.header.accuracies["mean"].value + 0.1


def test_accuracies_are_those_of_the_held_out_codes() -> None:
    codes, is_positive = torch.tensor([[-1.0], [-3], [1], [3]]), torch.tensor([False, False, True, True])
    others = torch.tensor([[-5.0], [0.5], [0.1], [7], [-0.1]])
    truth = torch.tensor([False, False, True, True, True])
    header = learn_attribute(codes, is_positive, others, truth, **NAMES).header
    assert (header.images, header.held_out, header.majority) == (4, 5, pytest.approx(0.6))
    assert {method: each.value for method, each in header.accuracies.items()} == {"mean": 0.6, "logistic": 0.6}


def test_the_interval_is_wilsons() -> None:
    k, n, z = 47, 60, 1.959963984540054
    centre, half = (k + z**2 / 2) / (n + z**2), z / (n + z**2) * math.sqrt(k * (n - k) / n + z**2 / 4)
    found = estimate_accuracy(k, n)
    assert (found.value, found.low, found.high) == pytest.approx((k / n, centre - half, centre + half), abs=1e-12)


def test_classes_without_images_and_codes_that_are_no_numbers_are_refused() -> None:
    codes, is_positive = torch.zeros(2, 3), torch.tensor([True, False])
    with pytest.raises(UserError, match="smiling: no image of this class held out"):
        learn_attribute(codes, is_positive, codes, ~is_positive & is_positive, **NAMES)
    with pytest.raises(UserError, match="neutral: no image of this class to learn from"):
        learn_attribute(codes, is_positive | True, codes, is_positive, **NAMES)
    with pytest.raises(Failure, match="not finite; use a run whose training did not diverge"):
        learn_attribute(codes / 0, is_positive, codes, is_positive, **NAMES)


def test_a_file_keeps_every_bit_and_belongs_to_one_model(tmp_path: Path) -> None:
    learned, file = learn(torch.eye(3).double(), torch.ones(3).double()), tmp_path / "new" / "a.safetensors"
    save_attribute(learned, file)
    read = load_attribute(file, "ab")
    assert read.header == learned.header == load_attribute(file).header
    assert all(torch.equal(read.directions[method], learned.directions[method]) for method in ("mean", "logistic"))
    with pytest.raises(UserError, match=r"a\.safetensors: directions of the codes of another model; make those of"):
        load_attribute(file, "cd")


def test_what_is_no_file_of_directions_is_one_line(tmp_path: Path) -> None:
    learned, file = learn(torch.eye(3).double(), torch.ones(3).double()), tmp_path / "a.safetensors"
    with pytest.raises(UserError, match=r"not a file of directions \(No such file"):
        load_attribute(file)
    os.mkfifo(tmp_path / "pipe")
    for other in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(UserError, match="not a regular file"):
            load_attribute(other)
    check_attribute_file(file)
    save_attribute(learned, file)
    check_attribute_file(file)  # which a new one may replace
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(UserError, match="not a file of directions"):
        load_attribute(file)
    save_tensors({"mean": torch.zeros(3)}, file)
    with pytest.raises(UserError, match="a file that is none of directions, which it would replace"):
        check_attribute_file(file)
    with pytest.raises(UserError, match=r"not a file of directions \(it lacks its header"):
        load_attribute(file)
    text = learned.header.model_dump_json()
    save_tensors({"mean": torch.zeros(3)}, file, {"attribute": text.replace('"positive"', '"else"')})
    with pytest.raises(UserError, match="not a file of directions"):
        load_attribute(file)
    for directions in ({"mean": torch.zeros(3).double()}, {"mean": torch.zeros(3), "logistic": torch.zeros(2)}):
        save_tensors(directions, file, {"attribute": text})
        with pytest.raises(UserError, match="not one direction of each method"):
            load_attribute(file)
    save_attribute(
        dataclasses.replace(learned, directions={**learned.directions, "mean": torch.full((3,), -math.inf).double()}),
        file,
    )
    assert not load_tensors(file)["mean"].isfinite().any()
    with pytest.raises(UserError, match="a direction is not finite"):
        load_attribute(file)


@pytest.mark.parametrize("family", [VAE, AE])
def test_an_edit_decodes_the_moved_code_and_one_of_nothing_is_the_reconstruction(family: type[VAE | AE]) -> None:
    model, images = family(image_shape=SHAPE, width=8, latent_size=4).eval(), make_images(5)
    one, other = draw_normal((4,), 1, "w").double(), draw_normal((4,), 2, "w").double()
    with torch.no_grad():
        reconstruction = model.reconstruct(images)
        assert torch.equal(edit_images(model, images, [(one, 0.0), (other, 0.0)]), reconstruction)
        assert torch.equal(edit_images(model, images, []), reconstruction)
        assert torch.equal(edit_images(model, images, [(one, 0.0)], residual=True), images)
        moved = model.decode(model.encode(images).mean + 1.5 * one.float() - other.float())
        torch.testing.assert_close(edit_images(model, images, [(one, 1.5), (other, -1.0)]), moved)
        kept = edit_images(model, images, [(one, 1.5), (other, -1.0)], residual=True)
        torch.testing.assert_close(kept, images + moved - reconstruction)


def test_a_translation_under_the_images_own_class_is_the_reconstruction() -> None:
    model, images = VAE(image_shape=SHAPE, width=8, latent_size=4, labels=3).eval(), make_images(4)
    source, target = torch.tensor([0, 1, 2, 1]), torch.tensor([2, 1, 0, 0])
    with torch.no_grad():
        assert torch.equal(translate_images(model, images, source, source), model.reconstruct(images, source))
        made = translate_images(model, images, source, target)
        assert torch.equal(made, model.decode(model.encode(images, source).mean, target))
        assert torch.equal(made[1], model.reconstruct(images, source)[1]) and not torch.equal(
            made[0], model.reconstruct(images, source)[0]
        )
        direction = draw_normal((4,), 1, "w")
        edited = edit_images(model, images, [(direction, 2.0)], source)
        torch.testing.assert_close(edited, model.decode(model.encode(images, source).mean + 2 * direction, source))


@pytest.mark.parametrize("model", [VQVAE(image_shape=SHAPE, width=8), AE(image_shape=SHAPE, width=8, latent_size=3)])
def test_models_that_cannot_serve_say_why(model: Autoencoder) -> None:
    with pytest.raises(UserError, match=r"codes of a VQ-VAE are entries|direction of shape \(4,\); give .* \(3,\)"):
        edit_images(model, make_images(2), [(torch.zeros(4), 1.0)])
    with pytest.raises(UserError, match=r"runs/a is unconditional; train one with model\.labels, or move its codes"):
        check_translates(model, "runs/a")


def test_a_prior_whose_decoder_takes_no_class_cannot_translate() -> None:
    autoencoder = {"family": "vqvae", "width": 8}
    model = PixelCNN(image_shape=SHAPE, width=8, depth=1, labels=2, autoencoder=autoencoder)
    with pytest.raises(UserError, match="decodes codes without a class; use a conditional run of another family"):
        translate_images(model, make_images(2), 0, 1)
