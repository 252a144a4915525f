"""Adjoints, norms and whitening of the operators, against their matrices."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import Tensor

from vaegan.applications.linear_operators import Blur, Grey, Identity, LinearOperator, Mask, Reduce, keep_channels
from vaegan.errors import UserError
from vaegan.randomness import draw_normal

SHAPE = (3, 4, 8)
VISIBLE = draw_normal((1, 4, 8), 0, "visible") > 0
OPERATORS = {
    "identity": Identity(), "mask": Mask(VISIBLE), "channels": keep_channels([0, 2], 3), "reduce": Reduce(4),
    "grey": Grey(), "blur": Blur(1.3),
}  # fmt: skip


def make_matrix(operator: LinearOperator) -> Tensor:
    """Return A, shape (M, C H W), column by column."""
    basis = torch.eye(96, dtype=torch.float64).unflatten(1, SHAPE)
    return operator.apply(basis).flatten(1).T


@pytest.mark.parametrize("name", OPERATORS)
def test_an_adjoint_and_whitening_are_those_of_the_matrix(name: str) -> None:
    operator, scale, noise = OPERATORS[name], 0.3, 0.2
    matrix = make_matrix(operator)
    image = draw_normal((5, 2, *SHAPE), 0, "x").double()
    measured = operator.apply(image)
    torch.testing.assert_close(measured.flatten(2), image.flatten(2) @ matrix.T)
    other = operator.apply(draw_normal(image.shape, 0, "y").double())
    expected = (other.flatten(2) @ matrix).reshape(image.shape)
    torch.testing.assert_close(operator.adjoint(other), expected)
    torch.testing.assert_close((measured * other).sum(), (image * expected).sum())
    used = matrix.abs().sum(1) > 0  # of a mask's measurements some are always 0
    covariance = scale**2 * matrix @ matrix.T + noise**2 * torch.eye(len(matrix))
    values, vectors = torch.linalg.eigh(covariance[used][:, used])
    whitened = operator.whiten(measured, scale, noise).flatten(2)
    root = (vectors * values.rsqrt()) @ vectors.T
    torch.testing.assert_close(whitened[..., used], measured.flatten(2)[..., used] @ root)


@pytest.mark.parametrize("name", sorted(OPERATORS.keys() - {"blur"}))
def test_a_filled_image_has_the_measurement(name: str) -> None:
    operator = OPERATORS[name]
    measured = operator.apply(draw_normal((2, *SHAPE), 0, "x").double())
    torch.testing.assert_close(operator.apply(operator.fill(measured)), measured)


def test_missing_values_are_filled_by_the_mean_of_an_image() -> None:
    images = draw_normal((2, *SHAPE), 0, "x").double()
    filled = OPERATORS["mask"].fill(OPERATORS["mask"].apply(images))
    for image, whole in zip(images, filled, strict=True):
        visible = VISIBLE.expand(SHAPE)
        assert torch.equal(whole[visible], image[visible])
        torch.testing.assert_close(whole[~visible], image[visible].mean().expand((~visible).sum()))


def test_a_blur_is_that_of_mirrored_images() -> None:
    image = draw_normal((1, 1, 32, 24), 0, "x").double()
    expected = scipy.ndimage.gaussian_filter(image[0, 0].numpy(), 2, mode="reflect", truncate=9)
    blurred = Blur(2).apply(image)[0, 0].numpy()
    assert np.abs(blurred - expected).max() < 1e-6 and np.abs(blurred).max() > 0.1


def test_operators_that_keep_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="no value of the image is known"):
        Mask(torch.zeros(1, 4, 4, dtype=torch.bool))
    for kept in ([], [3], [-1]):
        with pytest.raises(UserError, match="give channels of 0 to 2"):
            keep_channels(kept, 3)
