"""The check finds what differs, and knows rounding from a fault."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from vaegan.exports.check import draw_inputs, list_sizes, measure_difference
from vaegan.exports.parts import Part, TensorDescription, list_parts
from vaegan.models import VAE, VQVAE

from ...tiny import VQVAE_SIZES


def make_part(module: nn.Module) -> Part:
    described = TensorDescription("codes", ("batch", 3), "float32", "")
    return Part("decoder", module, (described,), (described,))


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 1e-4), (100.0, 1e-6), (0.01, 1e-4)])
def test_differences_are_relative_to_values_above_one(scale: float, expected: float) -> None:
    inputs = scale * torch.tensor([[-1.0, 0.5, 0.0]], dtype=torch.float64)
    found = measure_difference(make_part(nn.Identity()), lambda codes: (codes + 1e-4,), [inputs])
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "wrong", [torch.full((1, 3), torch.nan), torch.zeros(1, 3, dtype=torch.float64), torch.zeros(1, 1)]
)
def test_what_cannot_be_compared_differs_without_bounds(wrong: Tensor) -> None:
    assert measure_difference(make_part(nn.Identity()), lambda codes: (wrong,), [torch.zeros(1, 3)]) == torch.inf


def test_of_entries_that_are_equally_near_either_is_right() -> None:
    model = VQVAE(image_shape=(1, 8, 8), width=8, **VQVAE_SIZES)
    model.requires_grad_(False).codebook[5] = model.codebook[2]
    part = list_parts(model)[0]
    ((images,), _) = draw_inputs(model, list_parts(model), 64, (8, 8))
    indices, codes = part(images)
    assert (indices == 2).any() and not (indices == 5).any()
    other = torch.where(indices == 2, 5, indices)
    assert measure_difference(part, lambda images: (other, codes), [images]) == 0
    wrong = torch.where(indices == 2, 1, indices)
    assert measure_difference(part, lambda images: (wrong, model.codebook[wrong].movedim(-1, 1)), [images]) > 1e-3
    assert measure_difference(part, lambda images: (other, codes + 1e-3), [images]) > 1e-4  # codes of other entries


def test_codes_are_drawn_as_the_posterior_has_them() -> None:
    model = VAE(image_shape=(1, 8, 8), latent_size=4, width=8).requires_grad_(False)
    (images,), (codes,) = draw_inputs(model, list_parts(model), 64, (8, 8))
    assert images.abs().max() < 1 and images.std() > 0.5
    standardised = (codes - model.encode(images).mean) / (0.5 * model.encode(images).log_variance).exp()
    assert abs(standardised.std() - 1) < 0.15
    assert [size for size in list_sizes(model)] == [(1, (8, 8)), (3, (8, 8))]
    grid = VAE(image_shape=(1, 8, 8), code="grid", downsampling=4, width=8)
    assert [*list_sizes(grid)] == [(1, (8, 8)), (3, (8, 8)), (3, (8, 12))]


def test_a_part_is_called_without_a_gradient() -> None:
    part = make_part(nn.Linear(3, 3))
    assert not part(torch.ones(1, 3))[0].requires_grad and replace(part, name="encoder").name == "encoder"
