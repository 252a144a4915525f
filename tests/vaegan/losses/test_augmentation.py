"""Augmentation is a function of each image and its own draws, the policy of Zhao et al. 2020, and differentiable."""

import pytest
import torch
from torch import Tensor

from tests.tensors import draw_gaussian
from vaegan.losses.augmentation import DRAWS_PER_IMAGE, augment


def build_noise(*uniform: float) -> Tensor:
    """Return the noise that gives these uniform numbers."""
    return torch.special.ndtri(torch.tensor([uniform], dtype=torch.float64))


NEUTRAL = (0.5,) * 7
"""No change of colour, no translation, the square in the middle."""


def test_probability_0_changes_nothing_and_1_everything() -> None:
    images, noise = draw_gaussian(32, 3, 16, 16).tanh(), draw_gaussian(32, DRAWS_PER_IMAGE, seed=1)
    assert torch.equal(augment(images, noise, 0.0), images)
    changed = augment(images, noise, 1.0)
    assert ((changed - images).flatten(1).abs().amax(1) > 0.1).all()


def test_each_kind_has_its_own_gate() -> None:
    images = draw_gaussian(4000, 1, 8, 8).tanh()
    noise = draw_gaussian(4000, DRAWS_PER_IMAGE, seed=1)
    changed = augment(images, noise, torch.tensor(0.3, dtype=torch.float64)) != images
    assert changed.flatten(1).any(1).double().mean().item() == pytest.approx(1 - 0.7**3, abs=0.03)
    untouched = augment(images, noise, 0.3).flatten(1).eq(0).any(1)  # a hole, or grey from outside
    assert untouched.double().mean().item() == pytest.approx(1 - 0.7**2, abs=0.05)


def test_colour_is_brightness_then_saturation_then_contrast() -> None:
    images = draw_gaussian(1, 3, 8, 8).tanh()
    result = augment(images, build_noise(0.1, 0.9, 0.9, 0.8, 0.3, 0.7, *NEUTRAL[:4]), 0.5)
    bright = images + 0.3
    pixel = bright.mean(1, keepdim=True)
    saturated = pixel + 0.6 * (bright - pixel)
    torch.testing.assert_close(result, saturated.mean() + 1.2 * (saturated - saturated.mean()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("down", "right", "rows", "columns"), [(0.01, 0.5, -2, 0), (0.99, 0.99, 2, 2), (0.5, 0.7, 0, 1)]
)
def test_translation_moves_by_whole_pixels_and_brings_grey(down: float, right: float, rows: int, columns: int) -> None:
    images = draw_gaussian(1, 2, 16, 16).tanh()
    result = augment(images, build_noise(0.9, 0.1, 0.9, 0.5, 0.5, 0.5, down, right, 0.5, 0.5), 0.5)
    expected = torch.zeros_like(images)
    for y in range(16):
        for x in range(16):
            if 0 <= y - rows < 16 and 0 <= x - columns < 16:
                expected[..., y, x] = images[..., y - rows, x - columns]
    assert torch.equal(result, expected)


@pytest.mark.parametrize(("down", "right"), [(0.5, 0.5), (0.001, 0.999), (0.3, 0.8)])
def test_cutout_is_a_square_of_half_the_side(down: float, right: float) -> None:
    images = 0.5 + draw_gaussian(1, 1, 16, 16).abs()
    result = augment(images, build_noise(0.9, 0.9, 0.1, *NEUTRAL[:5], down, right), 0.5)
    cut = (result == 0)[0, 0]
    rows, columns = cut.any(1).nonzero()[:, 0], cut.any(0).nonzero()[:, 0]
    assert cut.sum() == len(rows) * len(columns) and torch.equal(result[0, 0][~cut], images[0, 0][~cut])
    for places, uniform in ((rows, down), (columns, right)):
        first = -4 + int(uniform * 17)
        assert places.tolist() == [place for place in range(first, first + 8) if 0 <= place < 16]


def test_an_image_depends_on_its_own_draws_alone_and_gradients_flow_twice() -> None:
    images, noise = draw_gaussian(5, 3, 8, 8).requires_grad_(), draw_gaussian(5, DRAWS_PER_IMAGE, seed=2)
    whole = augment(images, noise, 1.0)
    alone = torch.cat([augment(images[i : i + 1], noise[i : i + 1], 1.0) for i in range(5)])
    torch.testing.assert_close(whole, alone, rtol=1e-12, atol=1e-12)
    torch.autograd.gradcheck(lambda x: augment(x, noise[:2], 1.0), images[:2].detach().requires_grad_())
    torch.autograd.gradgradcheck(
        lambda x: augment(x, noise[:1], 1.0) ** 2, images[:1, :, :4, :4].detach().requires_grad_()
    )
