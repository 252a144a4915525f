"""The distances of an aggregate posterior from N(0, I) against their definitions."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from tests.tensors import draw_gaussian
from vaegan.losses.aggregate_posterior import frechet_standard_normal, mmd_imq


def test_mmd_is_unbiased() -> None:
    """Over many draws it has mean 0 for the prior itself, so it is below 0 as often as it must be."""
    values = torch.stack(
        [mmd_imq(draw_gaussian(32, 4, seed=i), draw_gaussian(32, 4, seed=1000 + i)) for i in range(300)]
    )
    assert values.mean().abs() < 4 * values.std() / 300**0.5
    assert (values < 0).any()


def test_mmd_equals_its_definition_and_sees_shift_and_scale() -> None:
    codes, prior = draw_gaussian(6, 3) * 0.5 + 1, draw_gaussian(5, 3, seed=1)
    constants = [2 * 3 * scale for scale in (0.1, 0.2, 0.5, 1, 2, 5, 10)]

    def kernel(a: Tensor, b: Tensor) -> float:
        distance = sum((x - y) ** 2 for x, y in zip(a.tolist(), b.tolist(), strict=True))
        return sum(constant / (constant + distance) for constant in constants) / 7

    within = [
        sum(kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / len(x) / (len(x) - 1)
        for x in (codes, prior)
    ]
    across = sum(kernel(a, b) for a in codes for b in prior) / 30
    assert mmd_imq(codes, prior).item() == pytest.approx(sum(within) - 2 * across, abs=1e-12)
    many, reference = draw_gaussian(400, 4, seed=2), draw_gaussian(400, 4, seed=3)
    same = mmd_imq(many, reference).abs()
    assert mmd_imq(many + 0.5, reference) > 10 * same
    assert mmd_imq(many * 0.5, reference) > 10 * same


@pytest.mark.parametrize("size", [1, 3])
def test_frechet_equals_the_matrix_square_root(size: int) -> None:
    codes = draw_gaussian(50, size) @ draw_gaussian(size, size, seed=1) + draw_gaussian(size, seed=2)
    mean, covariance = codes.mean(0).numpy(), np.atleast_2d(np.cov(codes.numpy().T))
    root = scipy.linalg.sqrtm(covariance).real
    expected = mean @ mean + np.trace(covariance + np.eye(size) - 2 * root)
    assert frechet_standard_normal(codes).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("count", "size"), [(5, 5), (5, 9), (2, 40)])
def test_frechet_of_fewer_codes_than_dimensions_is_that_of_their_covariance(count: int, size: int) -> None:
    codes = draw_gaussian(count, size) * 2 + 1
    covariance = torch.linalg.eigvalsh(torch.cov(codes.T)).clamp_min(0).sqrt()
    expected = (codes.mean(0).square().sum() + (covariance - 1).square().sum()).item()
    assert frechet_standard_normal(codes).item() == pytest.approx(expected, rel=1e-6)


def test_frechet_is_zero_where_mean_and_covariance_are_the_priors() -> None:
    codes = draw_gaussian(40, 4)
    codes -= codes.mean(0)
    codes = codes @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(codes.T)).T)
    assert frechet_standard_normal(codes).item() == pytest.approx(0, abs=1e-12)
    assert frechet_standard_normal(codes + 1).item() == pytest.approx(4, abs=1e-10)
    assert frechet_standard_normal(codes * 3).item() == pytest.approx(4 * (3 - 1) ** 2, abs=1e-10)
