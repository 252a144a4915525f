"""Conditional models: what the class changes, and which labels are refused."""

import pytest
import torch
from torch import Tensor

from tests.tensors import draw_pixels
from vaegan.errors import UserError
from vaegan.models import Autoencoder
from vaegan.models.autoencoder import Sampler

from ...tiny import AUTOENCODERS, CONDITIONAL_OPTIONS, NETWORKS, get_network_overrides
from .build import build

LABELS = torch.tensor([3, 0, 9, 3, 7])


def build_frozen(name: str, *overrides: str) -> Autoencoder:
    return build(name, *overrides).double().eval().requires_grad_(False)


def draw_images(count: int = len(LABELS)) -> Tensor:
    return draw_pixels(count, 1, 8, 8)


def find_differing(a: Tensor, b: Tensor) -> list[bool]:
    """Return of each image whether it differs, bit for bit."""
    return [not torch.equal(*pair) for pair in zip(a, b, strict=True)]


@pytest.mark.parametrize("name", CONDITIONAL_OPTIONS)
def test_a_label_changes_its_own_image_and_no_other(name: str) -> None:
    model, x = build_frozen(name, *CONDITIONAL_OPTIONS[name]), draw_images()
    other = LABELS.clone()
    other[2] = 4
    changed = [False, False, True, False, False]
    by_class = changed if model.networks_take_labels else [False] * 5
    codes = model.encode(x, LABELS).mean
    assert find_differing(codes, model.encode(x, other).mean) == by_class
    assert find_differing(model.decode(codes, LABELS), model.decode(codes, other)) == by_class
    assert find_differing(model.reconstruct(x, LABELS), model.reconstruct(x, other)) == by_class
    assert find_differing(model.sample(5, 1, labels=LABELS), model.sample(5, 1, labels=other)) == changed
    assert torch.equal(model.reconstruct(x, LABELS), model.decode(codes, LABELS))


@pytest.mark.parametrize("name", CONDITIONAL_OPTIONS)
def test_one_label_is_that_of_all_and_none_are_the_classes_in_turn(name: str) -> None:
    model, x = build_frozen(name, *CONDITIONAL_OPTIONS[name]), draw_images()
    all_threes = torch.full((5,), 3)
    assert torch.equal(model.sample(5, 1, labels=3), model.sample(5, 1, labels=all_threes))
    assert torch.equal(model.encode(x, 3).mean, model.encode(x, all_threes).mean)
    assert torch.equal(model.reconstruct(x, 3), model.reconstruct(x, all_threes))
    whole = model.sample(23, 1)
    assert torch.equal(whole, model.sample(23, 1, labels=torch.arange(23) % 10))
    assert torch.equal(whole[:4], model.sample(4, 1))  # an image is a function of seed and index
    torch.testing.assert_close(torch.cat([Sampler(model, 1).draw(0, 9), Sampler(model, 1).draw(9, 23)]), whole)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_class_is_one_hot_beside_the_code_and_a_plane_beside_the_image(network: str) -> None:
    model, x = build_frozen("vae", "model.labels=10", *get_network_overrides("vae", network)), draw_images()
    plane = model.encoder.plane.weight[LABELS].reshape(5, 1, 8, 8)
    outputs = model.encoder.head(model.encoder.trunk(torch.cat([x, plane], 1))[-1].flatten(1))
    assert torch.equal(outputs[:, :4], model.encode(x, LABELS).mean)
    codes = torch.randn(5, 4, dtype=torch.float64)
    one_hot = torch.zeros(5, 10, dtype=torch.float64).scatter(1, LABELS[:, None], 1.0)
    assert torch.equal(torch.tanh(model.decoder.trunk(torch.cat([codes, one_hot], 1))), model.decode(codes, LABELS))


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_an_unconditional_model_refuses_labels(name: str) -> None:
    model, x = build_frozen(name), draw_images()
    codes = model.encode(x).mean
    for call in (
        lambda: model.encode(x, LABELS), lambda: model.decode(codes, 3), lambda: model.reconstruct(x, 0),
        lambda: model.sample(5, labels=LABELS),
    ):  # fmt: skip
        with pytest.raises(UserError, match=r"^labels: this model is unconditional; .* model\.labels$"):
            call()


def test_a_conditional_model_refuses_missing_and_wrong_labels() -> None:
    model, x = build_frozen("vae", "model.labels=10"), draw_images()
    for call in (
        lambda: model.encode(x),
        lambda: model.decode(torch.zeros(5, 4).double()),
        lambda: model.reconstruct(x),
    ):
        with pytest.raises(UserError, match=r"^labels: this model is conditional; .* 0 to 9$"):
            call()
    for wrong, message in (
        (10, "10: the classes of this model are 0 to 9"), (-1, "-1: the classes"), (LABELS + 5, "14: the classes"),
        (LABELS[:4], r"torch.int64 of shape \(4,\); .* \(5,\)"), (LABELS.double(), r"torch.float64 of shape \(5,\)"),
        (True, "torch.bool"), (LABELS[:, None], r"torch.int64 of shape \(5, 1\)"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=rf"^labels: {message}"):
            model.encode(x, wrong)
    prior = build_frozen("pixelcnn", "model.labels=10")
    assert torch.equal(prior.reconstruct(x), prior.reconstruct(x, LABELS))  # that of the VQ-VAE, which takes no class
    with pytest.raises(UserError, match=r"^labels: this model is conditional"):
        prior.prior_nll(prior.encode_indices(x))
