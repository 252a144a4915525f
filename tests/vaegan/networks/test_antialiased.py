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
