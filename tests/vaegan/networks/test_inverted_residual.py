"""Inverted residual trunks: blocks that begin as the identity, and pixels that are all reached alike."""

from typing import Any

import pytest
import torch
from torch import Tensor

from vaegan.networks import antialiased, conv, inverted_residual
from vaegan.networks.initialise import initialise
from vaegan.networks.inverted_residual import EXPANSION, GROUP_CHANNELS, Block, Down


def draw(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1


def test_a_block_begins_as_the_identity_and_learns() -> None:
    block, features = initialise(Block(16), 0, "decoder").double(), draw(2, 16, 4, 4)
    assert torch.equal(block(features), features)
    block(features).square().sum().backward()
    gradients = {name: weight.grad for name, weight in block.named_parameters() if weight.grad is not None}
    assert gradients["residual.4.weight"].abs().min() > 0  # the others follow once it has left 0
    grouped = block.residual[2]
    assert grouped.weight.shape == (EXPANSION * 16, GROUP_CHANNELS, 3, 3)


@pytest.mark.parametrize("depth", [1, 3])
def test_the_depth_changes_no_output_before_the_first_step(depth: int) -> None:
    """So that no norm is needed, however deep the trunk is."""
    outputs = []
    for blocks in (1, depth):
        trunk = initialise(Down((3, 16, 16), 8, blocks, normalise=False), 0, "discriminator").double()
        for name, weight in trunk.named_parameters():
            if "residual" not in name and name.endswith("weight"):  # what a shallow trunk has too
                weight.data = draw(*weight.shape)
        outputs.append(trunk(draw(2, 3, 16, 16)))
    for shallow, deep in zip(*outputs, strict=True):
        assert torch.equal(shallow, deep)


@pytest.mark.parametrize(("network", "draws_lines"), [(inverted_residual, False), (antialiased, False), (conv, True)])
def test_every_inner_pixel_of_a_constant_code_is_the_same(network: Any, draws_lines: bool) -> None:
    """A transposed convolution draws a grid of lines there."""
    trunk = initialise(network.Up((3, 32, 32), 8, 2, (4, 4, 4)), 0, "decoder").double()
    codes = torch.ones(1, 4, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        for module in trunk.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                module.weight.copy_(draw(*module.weight.shape))
        image = trunk(codes)[..., 56:72, 56:72]
    difference = (image - image[..., :1, :1]).abs().max() / image.abs().max()
    assert difference > 0.1 if draws_lines else difference < 1e-9
