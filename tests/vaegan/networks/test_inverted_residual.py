"""Inverted residual trunks: blocks that begin as the identity."""

import torch

from tests.tensors import draw_pixels
from vaegan.networks.initialise import initialise
from vaegan.networks.inverted_residual import EXPANSION, GROUP_CHANNELS, Block, Down


def test_a_block_begins_as_the_identity_and_learns() -> None:
    block, features = initialise(Block(16), 0, "decoder").double(), draw_pixels(2, 16, 4, 4)
    assert torch.equal(block(features), features)
    block(features).square().sum().backward()
    gradients = {name: weight.grad for name, weight in block.named_parameters() if weight.grad is not None}
    assert gradients["residual.4.weight"].abs().min() > 0  # the others follow once it has left 0
    grouped = block.residual[2]
    assert grouped.weight.shape == (EXPANSION * 16, GROUP_CHANNELS, 3, 3)


def test_the_depth_changes_no_output_before_the_first_step() -> None:
    """So that no norm is needed, however deep the trunk is."""
    outputs = []
    for blocks in (1, 3):
        trunk = initialise(Down((3, 16, 16), 8, blocks, normalise=False), 0, "discriminator").double()
        for name, weight in trunk.named_parameters():
            if "residual" not in name and name.endswith("weight"):  # what a shallow trunk has too
                weight.data = draw_pixels(*weight.shape)
        outputs.append(trunk(draw_pixels(2, 3, 16, 16)))
    for shallow, deep in zip(*outputs, strict=True):
        assert torch.equal(shallow, deep)
