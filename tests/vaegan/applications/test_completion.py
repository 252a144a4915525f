"""Completed images keep what is visible, bit for bit, and are blended by a membrane."""

import pytest
import torch
from torch import Tensor

from vaegan.applications.completion import complete_images, fill_by_membrane
from vaegan.applications.linear_operators import Mask
from vaegan.applications.posterior_inference import ROUNDING_NOISE
from vaegan.errors import UserError
from vaegan.images import to_float, to_uint8
from vaegan.models import VQVAE
from vaegan.randomness import draw_normal

from .linear_model import build_linear, compute_posterior

COUNT = 3
IMAGES = (draw_normal((COUNT, 1, 8, 8), 0, "images") * 60 + 128).clamp(0, 255).to(torch.uint8)
HOLES = torch.zeros(COUNT, 8, 8, dtype=torch.bool)
HOLES[0, 2:5, 3:8] = HOLES[1, :, :4] = True
HOLES[2] = draw_normal((8, 8), 0, "holes") < 1  # most of the pixels


def test_a_membrane_has_no_slope_but_at_its_rim() -> None:
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(7.0), indexing="ij")
    plane = (0.3 * rows - 0.2 * columns + 1)[None, None].double()
    hole = torch.zeros(1, 9, 7, dtype=torch.bool)
    hole[0, 2:6, 1:5] = True
    torch.testing.assert_close(fill_by_membrane(torch.where(hole, torch.nan, plane), hole), plane)
    flat = torch.full((1, 2, 9, 7), 0.7).double()
    to_the_edge = torch.ones(1, 9, 7, dtype=torch.bool)
    to_the_edge[0, 4, 3] = False
    torch.testing.assert_close(fill_by_membrane(torch.where(to_the_edge, 5.0, flat), to_the_edge), flat)
    images = draw_normal((COUNT, 2, 8, 8), 1, "values").double()
    filled = fill_by_membrane(images, HOLES)
    kept = ~HOLES[:, None].expand_as(images)
    assert torch.equal(filled[kept], images[kept])
    inner = HOLES.clone()
    inner[:, [0, -1]] = inner[:, :, [0, -1]] = False
    shifted = [filled.roll(shift, dim) for shift in (1, -1) for dim in (2, 3)]
    mean = torch.stack(shifted).mean(0)
    where = inner[:, None].expand_as(images)
    torch.testing.assert_close(filled[where], mean[where])


def test_the_most_probable_completion_is_that_of_the_gaussian_posterior() -> None:
    model = build_linear()
    operator = Mask(~HOLES[:, None])
    values = operator.apply(to_float(IMAGES, torch.float64))
    for index in range(COUNT):
        one = Mask(~HOLES[index, None])
        mean, _ = compute_posterior(model, one, values[[index]], 0.4, ROUNDING_NOISE)
        decoded = model.decode(mean)
        raw, found = complete_images(model, IMAGES[[index]], HOLES[[index]], blended=False, steps=250, restarts=1)
        torch.testing.assert_close(found.codes[0], mean, rtol=0, atol=1e-4)
        hole = HOLES[index]
        difference = raw[0, :, :, hole].int() - to_uint8(decoded)[:, :, hole].int()
        assert difference.abs().max() <= 1
        blended, _ = complete_images(model, IMAGES[[index]], HOLES[[index]], steps=250, restarts=1)
        correction = fill_by_membrane(to_float(IMAGES[[index]], torch.float64) - decoded, HOLES[[index]])
        expected = to_uint8(decoded + correction)
        assert (blended[0, :, :, hole].int() - expected[:, :, hole].int()).abs().max() <= 1


@pytest.mark.parametrize("sampler", ["langevin", "importance"])
def test_visible_pixels_are_kept_bit_for_bit_and_hidden_ones_are_not_looked_at(sampler: str) -> None:
    model = build_linear()
    completed, _ = complete_images(model, IMAGES, HOLES, answers=3, sampler=sampler, steps=20)
    assert completed.shape == (3, COUNT, 1, 8, 8) and completed.dtype == torch.uint8
    visible = ~HOLES[:, None]
    unblended, _ = complete_images(model, IMAGES, HOLES, blended=False, steps=20)
    for answer in (*completed, *unblended):
        assert torch.equal(answer[visible], IMAGES[visible])
    assert not torch.equal(completed[1], completed[2])
    other = torch.where(visible, IMAGES, 255 - IMAGES)
    assert torch.equal(complete_images(model, other, HOLES, answers=3, sampler=sampler, steps=20)[0], completed)


def test_order_and_number_of_images_change_nothing() -> None:
    model = build_linear()

    def complete(order: list[int]) -> Tensor:
        return complete_images(model, IMAGES[order], HOLES[order], answers=2, steps=20)[0]

    whole = complete([0, 1, 2])
    assert (complete([2, 1])[:, [1, 0]].int() - whole[:, [1, 2]].int()).abs().max() <= 1
    assert (complete([0]).int() - whole[:, [0]].int()).abs().max() <= 1


def test_wrong_holes_and_families_are_refused() -> None:
    model = build_linear()
    for images, holes, message in (
        (IMAGES, torch.ones(8, 8, dtype=torch.bool), "no pixel of an image is visible"),
        (IMAGES, HOLES[:2], "holes: torch.bool of shape"),
        (IMAGES, HOLES.int(), "holes: torch.int32"),
        (IMAGES.float(), HOLES, "images: torch.float32"),
    ):
        with pytest.raises(UserError, match=message):
            complete_images(model, images, holes)
    with pytest.raises(UserError, match="entries of a codebook"):
        complete_images(VQVAE(image_shape=(1, 8, 8), width=8), IMAGES, HOLES)
