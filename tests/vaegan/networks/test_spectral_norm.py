"""Spectral normalisation against its definition."""

import pytest
import torch
from torch import nn

from vaegan.errors import UserError
from vaegan.networks.build import build_discriminator
from vaegan.networks.discriminator import Discriminator
from vaegan.networks.spectral_norm import add_spectral_norm, update_spectral_norm
from vaegan.trainers.dry_run import estimate_size

from ...tiny import NETWORKS, tiny


def build(network: str, seed: int = 0, spectral_norm: bool = True) -> Discriminator:
    words = [f"model.discriminator.network={network}", f"model.discriminator.spectral_norm={spectral_norm}".lower()]
    return build_discriminator(tiny("vaegan3", *words).model, (1, 8, 8), seed).double()


def get_layers(network: nn.Module) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


def get_original_weight(layer: nn.Module) -> torch.Tensor:
    return layer.parametrizations.weight.original


@pytest.mark.parametrize("network", [name for name in NETWORKS if name != "inverted_residual"])
def test_every_weight_tends_to_a_largest_singular_value_of_one(network: str) -> None:
    network, plain = build(network), build(network, spectral_norm=False)
    for _ in range(500):
        update_spectral_norm(network)
    assert get_layers(network)
    for layer, before in zip(get_layers(network), get_layers(plain), strict=True):
        values = torch.linalg.svdvals(layer.weight.flatten(1))
        assert values[0].item() == pytest.approx(1, rel=1e-3)
        largest = torch.linalg.svdvals(before.weight.flatten(1))[0]
        assert torch.equal(get_original_weight(layer), before.weight)  # the weights that are trained start as without
        torch.testing.assert_close(layer.weight, before.weight / largest, rtol=1e-3, atol=0)


def test_forwards_change_nothing_and_a_step_is_one_power_iteration() -> None:
    network = build("conv").train(False)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network(torch.randn(3, 1, 8, 8).double()).scores.sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    update_spectral_norm(network)
    network(torch.randn(3, 1, 8, 8).double())
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            weight = get_original_weight(layer).flatten(1)
            u = nn.functional.normalize(weight @ before[f"{name}.parametrizations.weight.0._v"], dim=0)
            v = nn.functional.normalize(weight.T @ u, dim=0)
            after = layer.parametrizations.weight[0]
            torch.testing.assert_close(after._u, u, rtol=1e-12, atol=1e-14)
            torch.testing.assert_close(after._v, v, rtol=1e-12, atol=1e-14)


def test_the_gradient_is_that_of_the_quotient() -> None:
    layer = nn.Linear(5, 4).double()
    add_spectral_norm(layer, 0, "layer")
    images = torch.randn(7, 5).double()
    layer(images).square().sum().backward()
    parametrization = layer.parametrizations.weight[0]
    weight = get_original_weight(layer).detach().clone().requires_grad_()
    sigma = sum(parametrization._u[i] * weight[i, j] * parametrization._v[j] for i in range(4) for j in range(5))
    (images @ (weight / sigma).T + layer.bias.detach()).square().sum().backward()
    torch.testing.assert_close(get_original_weight(layer).grad, weight.grad, rtol=1e-12, atol=1e-14)


def test_the_vectors_are_a_function_of_the_seed_and_the_name() -> None:
    torch.manual_seed(0)
    first = build("conv").state_dict()
    torch.randn(3)
    again, other = build("conv").state_dict(), build("conv", seed=1).state_dict()
    vectors = [key for key in first if key.endswith(("._u", "._v"))]
    assert len(vectors) == 2 * len(get_layers(build("conv")))
    assert all(torch.equal(again[key], first[key]) for key in first)
    assert not any(torch.equal(other[key], first[key]) for key in vectors)


def test_a_plan_counts_what_is_trained() -> None:
    normalised, plain = (
        estimate_size(tiny("vaegan3", f"model.discriminator.spectral_norm={on}")) for on in ("true", "false")
    )
    assert normalised == plain


def test_a_weight_that_starts_at_0_has_no_largest_singular_value() -> None:
    with pytest.raises(UserError, match=r"model\.discriminator\.spectral_norm: the blocks of inverted_residual begin"):
        build("inverted_residual")
