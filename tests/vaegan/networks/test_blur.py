"""Changes of the resolution by the binomial filter."""

import pytest
import torch
import torch.nn.functional as F

from tests.tensors import draw_pixels
from vaegan.networks.blur import BlurPool, BlurUpsample, join_border, repeat_border


@pytest.mark.parametrize("side", [8, 7, 1])
def test_the_blur_halves_and_keeps_constants(side: int) -> None:
    blur = BlurPool(3).double()
    image = torch.tensor([2.0, -1, 0.5]).double()[None, :, None, None].expand(2, 3, side, 6)
    assert torch.equal(blur(image), image[:, :, : -(-side // 2), :3])
    assert not list(blur.parameters()) and not blur.state_dict()  # nothing to train, nothing to save


def test_the_blur_is_the_binomial_filter_and_removes_the_highest_frequency() -> None:
    blur, features = BlurPool(2).double(), draw_pixels(1, 2, 8, 8)
    row = torch.tensor([1.0, 2, 1]).double() / 4
    windows = F.unfold(features[..., 1:, 1:], 3, stride=2).view(2, 9, 3, 3)  # around the pixels 2, 4, 6
    expected = torch.einsum("ckhw,k->chw", windows, torch.outer(row, row).flatten())
    torch.testing.assert_close(blur(features)[0, :, 1:, 1:], expected, rtol=0, atol=1e-12)
    stripes = torch.tensor([1.0, -1]).double().repeat(4).expand(1, 2, 8, 8)
    assert (blur(stripes)[..., 1:] == 0).all()


@pytest.mark.parametrize("sides", [(4, 4), (3, 5), (1, 2)])
def test_the_border_is_joined_on_a_gpu_as_it_is_repeated_on_a_cpu(sides: tuple[int, int]) -> None:
    features = draw_pixels(2, 3, *sides).contiguous(memory_format=torch.channels_last).requires_grad_()
    outputs = [repeat_border(features), join_border(features)]
    assert torch.equal(*outputs) and outputs[1].stride() == outputs[0].stride()
    weights = draw_pixels(*outputs[0].shape)
    gradients = [torch.autograd.grad((output * weights).sum(), features)[0] for output in outputs]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-14)


@pytest.mark.parametrize("sides", [(4, 4), (3, 5), (1, 2)])
def test_upsampling_is_bilinear_up_to_the_border(sides: tuple[int, int]) -> None:
    """Against torch's own, which on a GPU has a gradient that differs from call to call."""
    features = draw_pixels(2, 3, *sides).requires_grad_()
    upsample = BlurUpsample(3).double()
    ours, theirs = upsample(features), F.interpolate(features, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)
    weights = draw_pixels(*ours.shape)
    gradients = [torch.autograd.grad((weights * each).sum(), features)[0] for each in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-14)
    assert not upsample.state_dict()
