"""The axes of codes: their order, and that a move changes one coordinate alone."""

import pytest
import torch

from vaegan.applications.code_statistics import compute_code_statistics
from vaegan.errors import UserError
from vaegan.explorer.axes import PRIOR_REACH, CodeAxes, find_axes
from vaegan.models import Posterior
from vaegan.models.posterior import make_deterministic


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


SPREAD = torch.tensor([0.5, 3.0, 0.0, 1.0])


@pytest.fixture
def codes() -> torch.Tensor:
    """Codes of 50 images, whose third dimension is the same for all."""
    return draw(50, 4) * SPREAD


def test_dimensions_are_ordered_by_their_divergence(codes: torch.Tensor) -> None:
    posterior = Posterior(codes, torch.full_like(codes, -2.0))
    axes, statistics = find_axes(posterior, False, 2), compute_code_statistics(posterior)
    assert axes.dimensions is not None and axes.dimensions.tolist() == [1, 3] == statistics.order[:2].tolist()
    assert statistics.kl is not None
    assert axes.names[0] == f"z1 · {statistics.kl[1]:.2f} nats" and "KL" in axes.kind
    assert (axes.low.tolist(), axes.high.tolist()) == ([-PRIOR_REACH] * 2, [PRIOR_REACH] * 2)


def test_without_a_prior_they_are_ordered_by_variance_and_reach_as_far_as_codes(codes: torch.Tensor) -> None:
    axes = find_axes(make_deterministic(codes), False, 9)
    assert axes.dimensions is not None and axes.dimensions.tolist() == [1, 3, 0] and "no prior" in axes.kind
    deviations = codes.double().var(0, correction=0).sqrt()[axes.dimensions]
    torch.testing.assert_close(axes.high - axes.low, 6 * deviations)
    torch.testing.assert_close((axes.high + axes.low) / 2, codes.double().mean(0)[axes.dimensions])


def test_components_of_grids_are_those_of_the_covariance(codes: torch.Tensor) -> None:
    rotation = torch.linalg.qr(draw(4, 4))[0]
    axes = find_axes(make_deterministic(codes @ rotation), True, 3)
    values, vectors = torch.linalg.eigh(torch.cov((codes @ rotation).double().T, correction=0))
    assert axes.directions is not None and len(axes) == 3
    torch.testing.assert_close((axes.directions @ vectors.flip(1)[:, :3]).abs(), torch.eye(3).double())
    torch.testing.assert_close(axes.high, 3 * values.flip(0)[:3].sqrt())
    assert axes.names[0] == f"component 1 · {100 * values[-1] / values.sum():.1f} %"


@pytest.mark.parametrize("has_grid", [False, True])
def test_a_move_changes_one_coordinate_alone(codes: torch.Tensor, has_grid: bool) -> None:
    axes: CodeAxes = find_axes(make_deterministic(codes), has_grid, 3)
    code = codes[7].double()
    moved = axes.move(code, 1, 0.25)
    expected = axes.measure(code)
    expected[1] = 0.25
    torch.testing.assert_close(axes.measure(moved), expected)
    torch.testing.assert_close(axes.move(moved, 1, axes.measure(code)[1].item()), code)
    outside = moved - code
    direction = torch.eye(4).double()[axes.dimensions[1]] if axes.dimensions is not None else axes.directions[1]
    torch.testing.assert_close(outside, (outside @ direction) * direction)


@pytest.mark.parametrize("has_grid", [False, True])
def test_codes_that_are_all_the_same_have_no_axes(has_grid: bool) -> None:
    with pytest.raises(UserError, match="train it longer"):
        find_axes(Posterior(torch.ones(5, 3), torch.zeros(5, 3)), has_grid, 3)
