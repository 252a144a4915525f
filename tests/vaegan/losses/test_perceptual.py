"""LPIPS as a loss: gradients, determinism and precision."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaegan.images import to_float
from vaegan.losses.perceptual import (
    build_random_lpips_network,
    load_lpips_network,
    lpips_distance,
)

from ...evaluate.distortions import add_noise

pytestmark = pytest.mark.usefixtures("no_downloads")


@pytest.mark.parametrize("net", ["alex", "vgg", "squeeze"])
def test_black_images_have_finite_gradients(net: str, stand_in: Callable[[str], Path]) -> None:
    """As where the distance is a loss: normalised features have a root in them."""
    stand_in(net)
    images = torch.full((2, 3, 64, 64), -1.0, requires_grad=True)
    lpips_distance(load_lpips_network(net), images, torch.full((2, 3, 64, 64), -1.0)).sum().backward()
    assert images.grad.isfinite().all()
    lpips_distance(load_lpips_network(net), images, torch.zeros(2, 3, 64, 64)).sum().backward()
    assert images.grad.isfinite().all() and images.grad.abs().max() > 0


def test_the_random_backbone_is_always_the_same_and_takes_no_randomness() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = build_random_lpips_network().state_dict()
    assert torch.equal(torch.rand(1), expected)
    second = build_random_lpips_network().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_is_float32_whatever_is_around_it(photos: Tensor) -> None:
    images = to_float(photos[:4])
    network, other = build_random_lpips_network(), add_noise(images, 0.01)
    expected = lpips_distance(network, images, other)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(lpips_distance(network, images, other), expected)
    assert lpips_distance(network, images.double(), other.double()).dtype == torch.float32
