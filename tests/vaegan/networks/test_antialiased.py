"""Trunks with a filter beside what changes the resolution: pixels that are all reached alike."""

from typing import Any

import pytest
import torch

from tests.tensors import draw_pixels
from vaegan.networks import antialiased, conv, inverted_residual
from vaegan.networks.initialise import initialise


@pytest.mark.parametrize(("network", "draws_lines"), [(inverted_residual, False), (antialiased, False), (conv, True)])
def test_every_inner_pixel_of_a_constant_code_is_the_same(network: Any, draws_lines: bool) -> None:
    """A transposed convolution draws a grid of lines there."""
    trunk = initialise(network.Up((3, 32, 32), 8, 2, (4, 4, 4)), 0, "decoder").double()
    codes = torch.ones(1, 4, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        for module in trunk.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                module.weight.copy_(draw_pixels(*module.weight.shape))
        image = trunk(codes)[..., 56:72, 56:72]
    difference = (image - image[..., :1, :1]).abs().max() / image.abs().max()
    assert difference > 0.1 if draws_lines else difference < 1e-9


@pytest.mark.parametrize(("network", "draws_lines"), [(inverted_residual, False), (antialiased, False), (conv, True)])
def test_every_inner_pixel_of_a_constant_image_has_the_same_gradient(network: Any, draws_lines: bool) -> None:
    """The gradient of a discriminator with strided convolutions has a grid of lines (Odena et al. 2016)."""
    trunk = initialise(network.Down((3, 32, 32), 8, 2, normalise=False), 0, "discriminator").double()
    image = torch.full((1, 3, 256, 256), 0.5, dtype=torch.float64, requires_grad=True)
    features = trunk(image)[-1]
    (features * draw_pixels(1, features.shape[1], 1, 1)).sum().backward()
    assert image.grad is not None
    gradient = image.grad[..., 120:136, 120:136]
    difference = (gradient - gradient[..., :1, :1]).abs().max() / gradient.abs().max()
    assert difference > 0.1 if draws_lines else difference < 1e-9
