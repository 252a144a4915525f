"""Networks whose code is a grid: sizes, places, classes, and what their initial weights depend on."""

import math

import pytest
import torch
from torch import nn

from tests.tensors import draw_pixels
from vaegan.config.architectures import GridConfig
from vaegan.config.models import GridAEConfig, LarsenConfig
from vaegan.errors import UserError
from vaegan.models import build_model
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.networks.grid_autoencoder import Attention
from vaegan.networks.group_norm import GroupNorm

from ...tiny import GRIDS, tiny

SIDES = [(8, 8), (16, 8), (8, 24), (40, 28)]
KINDS = [(network, attention) for network in ("conv", "resnet") for attention in ("false", "true")]


def build(*words: str, name: str = "vae-grid", seed: int = 5) -> ContinuousAutoencoder:
    model = build_model(tiny(name, *words).model, (1, 8, 8), seed)
    assert isinstance(model, ContinuousAutoencoder)
    return model.double().eval()


def are_equal(one: nn.Module, two: nn.Module) -> bool:
    a, b = one.state_dict(), two.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(("network", "attention"), KINDS)
@torch.no_grad()
def test_images_of_any_sides_are_encoded_and_decoded(network: str, attention: str) -> None:
    model = build(f"model.network={network}", f"model.attention={attention}")
    assert model.code_shape == (3, 2, 2) and model.code_size == 12
    for height, width in SIDES:
        images = draw_pixels(2, 1, height, width)
        mean = model.encode(images).mean
        assert mean.shape == (2, 3 * height * width // 16)  # flat at the border
        grids = mean.unflatten(1, (3, height // 4, width // 4))
        assert model.decode(grids).shape == images.shape
        assert torch.equal(model.reconstruct(images), model.decode(grids))
    mean = model.encode(draw_pixels(2, 1, 8, 8)).mean
    assert torch.equal(model.decode(mean), model.decode(mean.view(-1, *model.code_shape)))


def test_a_training_takes_images_of_its_own_sides_alone() -> None:
    """Their noise has the size of one code."""
    for name in GRIDS:
        with pytest.raises(UserError, match=r"^images: .* of shape \(2, 1, 16, 8\); give .* of shape \(N, 1, 8, 8\)"):
            build(name=name)(draw_pixels(2, 1, 16, 8))


@pytest.mark.parametrize("sides", [(10, 8), (8, 10), (2, 8)])
def test_a_side_that_is_no_multiple_is_refused_in_one_line(sides: tuple[int, int]) -> None:
    wrong = next(side for side in sides if side % 4)
    with pytest.raises(UserError) as caught:
        build().encode(draw_pixels(1, 1, *sides))
    assert str(caught.value) == f"model.downsampling: 4 does not divide the side of the images, {wrong}"
    with pytest.raises(UserError, match=r"^model\.downsampling: 16 does not divide the side of the images, 8$"):
        build("model.downsampling=16")
    with pytest.raises(
        UserError, match=r"^codes: .* of shape \(1, 2, 2, 2\); give torch.float64 of shape \(N, 3, 2, 2"
    ):
        build().decode(draw_pixels(1, 2, 2, 2))


@pytest.mark.parametrize("network", ["conv", "resnet"])
@torch.no_grad()
def test_a_place_depends_on_its_neighbourhood_alone_but_for_the_norms(network: str) -> None:
    """Without GroupNorm, whose statistics are those of a whole image, the inside of a large image is that of a part."""
    model, images = build(f"model.network={network}"), draw_pixels(1, 1, 80, 80)
    for norms in (True, False):
        if not norms:
            for module in list(model.modules()):
                for name, child in module.named_children():
                    if isinstance(child, GroupNorm):
                        setattr(module, name, nn.Identity())
        whole = model.encode(images).mean.unflatten(1, (3, 20, 20))
        part = model.encode(images[..., 16:, 16:]).mean.unflatten(1, (3, 16, 16))
        codes = (whole[..., 4 + 5 :, 4 + 5 :], part[..., 5:, 5:])
        pixels = (model.decode(whole)[..., 16 + 28 :, 16 + 28 :], model.decode(whole[..., 4:, 4:])[..., 28:, 28:])
        for a, b in (codes, pixels):
            assert torch.allclose(a, b, rtol=0, atol=1e-12) != norms and a.std() > 1e-3


@torch.no_grad()
def test_attention_does_not_know_the_order_of_the_places() -> None:
    torch.manual_seed(0)
    layer, features = Attention(16).double(), draw_pixels(3, 16, 3, 5)
    order = torch.randperm(15)
    permuted = features.flatten(2)[..., order].unflatten(2, (3, 5))
    expected = layer(features).flatten(2)[..., order].unflatten(2, (3, 5))
    torch.testing.assert_close(layer(permuted), expected, rtol=0, atol=1e-12)
    assert (layer(features) - expected).abs().max() > 0.1


@torch.no_grad()
def test_attention_is_that_of_its_equation() -> None:
    torch.manual_seed(0)
    layer, features = Attention(8).double(), draw_pixels(2, 8, 2, 3)
    rows = layer.norm(features).flatten(2).mT  # (N, places, C)
    queries, keys, values = (rows @ part.T for part in layer.enter.weight[:, :, 0, 0].chunk(3))
    mixed = (queries @ keys.mT / math.sqrt(8)).softmax(2) @ values
    added = mixed @ layer.leave.weight[:, :, 0, 0].T + layer.leave.bias
    expected = (features + added.mT.unflatten(2, (2, 3))) / math.sqrt(2)
    torch.testing.assert_close(layer(features), expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_the_class_of_an_image_reaches_its_own_code_and_pixels_alone() -> None:
    model, images = build("model.labels=10"), draw_pixels(3, 1, 16, 8)
    labels, others = torch.tensor([3, 0, 9]), torch.tensor([3, 1, 9])
    codes = [model.encode(images, each).mean for each in (labels, others)]
    grids = codes[0].unflatten(1, (3, 4, 2))
    pixels = [model.decode(grids, each) for each in (labels, others)]
    for a, b in (codes, pixels):
        assert torch.equal(a[[0, 2]], b[[0, 2]]) and (a[1] - b[1]).abs().max() > 1e-6


@pytest.mark.parametrize("name", GRIDS)
def test_weights_are_a_function_of_seed_and_part(name: str) -> None:
    model = build(name=name)
    torch.manual_seed(1)
    again = build(name=name)
    assert are_equal(model.encoder, again.encoder) and are_equal(model.decoder, again.decoder)
    other = build(name=name, seed=6)
    assert not are_equal(model.encoder, other.encoder) and not are_equal(model.decoder, other.decoder)
    assert are_equal(model.decoder, build().decoder)  # of whatever family
    ae = build_model(GridAEConfig(code="grid", width=8, downsampling=4, code_channels=3), (1, 8, 8), 5)
    assert are_equal(ae.double().decoder, model.decoder)


def test_the_last_layer_makes_the_pixels() -> None:
    for network in ("conv", "resnet"):
        model = build(f"model.network={network}")
        weight = model.decoder.get_last_layer()
        assert weight.shape == (1, 8, 3, 3) and any(weight is each for each in model.decoder.parameters())


def test_the_settings_of_a_vector_are_not_taken_for_a_grid() -> None:
    with pytest.raises(
        ValueError, match=r"model\.code: LarsenConfig has the settings of .* vector; take GridLarsenConfig"
    ):
        LarsenConfig(code="grid")


def test_a_grid_has_no_latent_size() -> None:
    with pytest.raises(UserError, match=r"model\.latent_size"):
        tiny("vae-grid", "model.latent_size=4")
    assert GridConfig(code="grid").get_code_shape((3, 64, 32)) == (4, 8, 4)
