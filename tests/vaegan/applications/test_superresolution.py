"""Enlarged images are those of the Gaussian posterior, and consistent ones give the small image again."""

import pytest
import torch

from vaegan.applications.linear_operators import Reduce
from vaegan.applications.posterior_inference import ROUNDING_NOISE
from vaegan.applications.superresolution import enlarge_bicubically, enlarge_images, make_consistent
from vaegan.errors import UserError
from vaegan.images import to_float, to_uint8
from vaegan.models import VQVAE
from vaegan.randomness import draw_normal

from .linear_model import build_linear, compute_posterior


@pytest.mark.parametrize("factor", [2, 4])
def test_the_answer_is_the_decoded_mean_of_the_posterior(factor: int) -> None:
    model, side = build_linear(channels=3), 8 // factor
    small = (draw_normal((2, 3, side, side), 0, "small") * 60 + 128).clamp(0, 255).to(torch.uint8)
    mean, _ = compute_posterior(model, Reduce(factor), to_float(small, torch.float64), 0.4, ROUNDING_NOISE)
    expected = to_uint8(model.decode(mean))
    enlarged = enlarge_images(model, small, steps=400, restarts=2)
    assert (enlarged.int() - expected.int()).abs().max() <= 1
    assert (enlarge_images(model, small[1:], steps=400, restarts=2).int() - enlarged[1:].int()).abs().max() <= 1
    consistent = enlarge_images(model, small, steps=20, consistent=True)
    assert (Reduce(factor).apply(consistent.double()) - small).abs().max() <= 1


@pytest.mark.parametrize("factor", [2, 4])
def test_reducing_a_consistent_image_gives_the_small_one_also_at_black_and_white(factor: int) -> None:
    side = 16 // factor
    small = (draw_normal((6, 1, side, side), 0, "small") * 200 + 128).clamp(0, 255).to(torch.uint8)
    assert (small == 0).any() and (small == 255).any()
    small[0], small[1] = 0, 255
    images = draw_normal((6, 1, 16, 16), 1, "images").clamp(-1, 1)
    images[2], images[3] = 1, -1
    consistent = make_consistent(images, to_float(small, torch.float64))
    assert consistent.abs().max() <= 1
    assert (Reduce(factor).apply(to_uint8(consistent).double()) - small).abs().max() <= 1
    for index in range(6):
        alone = make_consistent(images[index : index + 1], to_float(small[index : index + 1], torch.float64))
        assert torch.equal(alone[0], consistent[index]), "the other images of a batch change nothing"
    again = make_consistent(consistent, to_float(small, torch.float64))
    torch.testing.assert_close(again, consistent, rtol=0, atol=0.02)  # what is consistent hardly changes


def test_bicubic_enlarging_keeps_a_plane_but_at_the_border() -> None:
    plane = torch.linspace(-0.5, 0.5, 8).double().expand(1, 1, 8, 8)
    enlarged = enlarge_bicubically(plane, 16)
    differences = enlarged[0, 0, 0, 4:12].diff()
    torch.testing.assert_close(differences, torch.full_like(differences, 0.5 / 7))


def test_images_that_are_no_part_of_the_models_size_are_refused() -> None:
    model = build_linear()
    for small in (torch.zeros(1, 1, 3, 3, dtype=torch.uint8), torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4).byte()):
        with pytest.raises(UserError, match=r"give uint8 of \(N, 1, s, s\), s a divisor of 8"):
            enlarge_images(model, small)
    with pytest.raises(UserError, match="entries of a codebook"):
        enlarge_images(VQVAE(image_shape=(1, 8, 8), width=8), torch.zeros(1, 1, 4, 4, dtype=torch.uint8))
