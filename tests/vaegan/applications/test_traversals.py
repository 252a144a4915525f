"""Traversals change one dimension at a time, by the quantiles of the prior or of the codes."""

import numpy as np
import torch
from scipy.stats import norm

from vaegan.applications.traversals import (
    HEADER_PIXELS,
    choose_typical_code,
    compute_code_quantiles,
    compute_prior_quantiles,
    draw_frames,
    draw_traversals,
    get_margin_pixels,
    get_probabilities,
    traverse_codes,
)
from vaegan.images import GAP_PIXELS
from vaegan.randomness import draw_normal


def test_steps_are_the_quantiles_of_the_normal_distribution() -> None:
    values = compute_prior_quantiles(get_probabilities(5), 3)
    expected = norm.ppf([0.01, 0.255, 0.5, 0.745, 0.99])
    np.testing.assert_allclose(values.numpy(), np.tile(expected[:, None], 3), atol=1e-12)


def test_steps_of_codes_are_their_own_quantiles() -> None:
    codes, probabilities = draw_normal((101, 3), 0, "codes").square(), get_probabilities(7)
    values = compute_code_quantiles(codes, probabilities)
    np.testing.assert_allclose(values.numpy(), np.quantile(codes.double().numpy(), probabilities.numpy(), axis=0))


def test_a_typical_code_is_as_far_from_the_mean_as_half_of_the_others() -> None:
    codes = 5 + draw_normal((31, 4), 0, "codes")  # whose mean is not 0
    code = choose_typical_code(codes)
    distances = (codes - codes.mean(0)).norm(dim=1)
    assert (distances < (code - codes.mean(0)).norm() - 1e-5).sum() == 15, "as many are nearer as are further away"
    assert (code == codes).all(1).any(), "it is one of them"
    assert torch.equal(choose_typical_code(codes[:1]), codes[0])


def test_one_dimension_changes_and_the_others_stay() -> None:
    code, values = draw_normal((6,), 0, "code"), draw_normal((4, 6), 0, "values").double()
    dimensions = torch.tensor([4, 0])
    codes = traverse_codes(code, dimensions, values)
    assert codes.shape == (2, 4, 6) and codes.dtype == code.dtype
    for row, dimension in enumerate(dimensions.tolist()):
        others = torch.arange(6) != dimension
        assert torch.equal(codes[row, :, dimension], values[:, dimension].float())
        assert torch.equal(codes[row][:, others], code[others].expand(4, -1))
    order = torch.tensor([3, 5, 0, 1, 2, 4])  # of the dimensions of another encoder
    places = order.argsort()
    permuted = traverse_codes(code[order], places[dimensions], values[:, order])
    assert torch.equal(permuted[..., places], codes), "the same images row by row"


def test_pictures_have_a_row_for_each_dimension_and_frames_go_there_and_back() -> None:
    images = (draw_normal((2, 4, 1, 64, 64), 0, "images") * 60 + 128).clamp(0, 255).to(torch.uint8)
    names = ["z10  1.20 nats", "z1  0.70 nats"]
    picture = draw_traversals(images, names, ["1 %", "34 %", "67 %", "99 %"])
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    left = get_margin_pixels(names)
    for row in range(2):
        for column in range(4):
            top, start = HEADER_PIXELS + GAP_PIXELS + 66 * row, left + GAP_PIXELS + 66 * column
            shown = pixels[:, top : top + 64, start : start + 64]
            assert torch.equal(shown, images[row, column].expand(3, -1, -1))
    assert picture.size == (left + 4 * 66 + GAP_PIXELS, HEADER_PIXELS + 2 * 66 + GAP_PIXELS)
    assert (pixels[:, HEADER_PIXELS:, :left] < 128).any() and (pixels[:, :HEADER_PIXELS] < 128).any(), "names"
    frames = [torch.from_numpy(np.array(frame)) for frame in draw_frames(images)]
    assert len(frames) == 6 and torch.equal(frames[1], frames[5]) and torch.equal(frames[2], frames[4])
    assert torch.equal(frames[3][GAP_PIXELS : GAP_PIXELS + 64, GAP_PIXELS : GAP_PIXELS + 64, 0], images[0, 3, 0])
