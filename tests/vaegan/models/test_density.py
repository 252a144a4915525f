import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from vaegan.errors import Failure, UserError
from vaegan.models.density import Density, fit_density
from vaegan.randomness import derive_seed

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
MANY = 4000


def draw_clusters(count: int = 500, size: int = 3) -> Tensor:
    """Two clusters of correlated codes, a third of them in the second."""
    draw = np.random.default_rng(0)
    mixing = draw.normal(size=(size, size))
    clusters = np.where(draw.random(count) < 1 / 3, 4.0, -2.0)
    return torch.from_numpy(draw.normal(size=(count, size)) @ mixing + clusters[:, None])


def are_close(one: Density, other: Density, **close: float) -> bool:
    pairs = ((getattr(each, name) for each in (one, other)) for name in ("weights", "means", "covariances"))
    return all(torch.allclose(*pair, **close) for pair in pairs)


def test_the_gaussian_has_the_mean_and_the_covariance_of_the_codes() -> None:
    codes = draw_clusters().numpy()
    density = fit_density("gaussian", torch.from_numpy(codes), 0)
    np.testing.assert_allclose(density.means[0], codes.mean(0), rtol=1e-13)
    np.testing.assert_allclose(density.covariances[0], np.cov(codes, rowvar=False, bias=True), rtol=1e-12)
    assert density.weights.tolist() == [1] and density.means.dtype == torch.float64
    assert str(density) == "Gaussian, fitted to 500 codes"
    assert are_close(fit_density("gaussian", draw_clusters().float(), 0), density, rtol=1e-6), (
        "whatever the type of the codes"
    )


@pytest.mark.parametrize("components", [1, 2, 4])
def test_the_mixture_is_scikit_learns(components: int) -> None:
    density = fit_density(f"gmm:{components}", draw_clusters(), 7)
    start = derive_seed(7, "density") % 2**32
    expected = GaussianMixture(components, max_iter=2000, random_state=start).fit(draw_clusters().numpy())
    np.testing.assert_allclose(density.weights, expected.weights_, **CLOSE)
    np.testing.assert_allclose(density.means, expected.means_, **CLOSE)
    np.testing.assert_allclose(density.covariances, expected.covariances_, **CLOSE)
    assert str(density) == f"GMM of {components}, fitted to 500 codes"


def test_a_mixture_of_one_is_the_gaussian() -> None:
    one, gaussian = fit_density("gmm:1", draw_clusters(), 0), fit_density("gaussian", draw_clusters(), 0)
    torch.testing.assert_close(one.means, gaussian.means, **CLOSE)
    torch.testing.assert_close(one.covariances, gaussian.covariances + 1e-6 * torch.eye(3).double(), **CLOSE)
    torch.testing.assert_close(one.draw_codes(0, 50, 3), gaussian.draw_codes(0, 50, 3), rtol=1e-5, atol=1e-5)


def test_two_clusters_are_found() -> None:
    density = fit_density("gmm:2", draw_clusters(2000), 0)
    order = density.weights.argsort()
    assert density.weights[order] == pytest.approx([1 / 3, 2 / 3], abs=0.03)
    assert density.means[order].mean(1) == pytest.approx([4, -2], abs=0.3)


@pytest.mark.parametrize("spec", ["gaussian", "gmm:3"])
def test_what_is_drawn_has_the_moments_of_what_was_fitted(spec: str) -> None:
    density = fit_density(spec, draw_clusters(), 0)
    drawn = density.draw_codes(0, MANY, seed=1)
    mean = density.weights @ density.means
    apart = density.means - mean
    covariance = (density.weights[:, None, None] * (density.covariances + apart[:, :, None] * apart[:, None])).sum(0)
    scale = covariance.diagonal().sqrt()
    assert ((drawn.mean(0) - mean) / scale).abs().max() < 4 / MANY**0.5
    error = (torch.cov(drawn.T) - covariance) / (scale[:, None] * scale)
    assert error.abs().max() < 4 * (2 / MANY) ** 0.5
    nearest = (drawn[:, None] - density.means).square().sum(-1).argmin(1)
    if spec == "gmm:3":
        assert len(nearest.unique()) == 3


def test_every_component_is_drawn_as_often_as_it_weighs() -> None:
    weights = torch.tensor([0.5, 0.2, 0.3]).double()
    density = Density("gmm:3", 9, weights, torch.tensor([[0.0], [1.0], [2.0]]).double(), torch.zeros(3, 1, 1).double())
    shares = density.draw_codes(0, MANY, 0).flatten().long().bincount() / MANY
    assert ((shares - weights).abs() < 4 * (weights * (1 - weights) / MANY).sqrt()).all()


def test_a_code_is_its_own_whatever_the_count() -> None:
    density = fit_density("gmm:4", draw_clusters(), 0)
    whole = density.draw_codes(0, 40, 5)
    assert torch.equal(
        torch.cat([density.draw_codes(0, 7, 5), density.draw_codes(7, 8, 5), density.draw_codes(8, 40, 5)]), whole
    )
    assert density.draw_codes(4, 4, 5).shape == (0, 3)
    torch.manual_seed(1)
    np.random.seed(1)
    assert torch.equal(density.draw_codes(0, 40, 5), whole)
    assert len({tuple(code) for seed in (5, 6) for code in density.draw_codes(0, 40, seed).tolist()}) == 80


def test_the_fit_is_a_function_of_codes_and_seed() -> None:
    first = fit_density("gmm:5", draw_clusters(), 3)
    torch.manual_seed(2)
    np.random.seed(2)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    again = fit_density("gmm:5", draw_clusters(), 3)
    assert torch.equal(torch.get_rng_state(), before[0]) and np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(again.roots, first.roots) and torch.equal(again.means, first.means)
    assert not torch.equal(fit_density("gmm:5", draw_clusters(), 4).means, first.means), "another start"


@pytest.mark.parametrize("spec", ["gaussian", "gmm:2"])
def test_directions_without_variance_stay_so(spec: str) -> None:
    codes = draw_clusters()
    codes = torch.cat([codes, codes[:, :1] - codes[:, 1:2], torch.full((500, 1), 7.0).double()], dim=1)
    drawn = fit_density(spec, codes, 0).draw_codes(0, 200, 0)
    torch.testing.assert_close(drawn[:, 3], drawn[:, 0] - drawn[:, 1], rtol=0, atol=0.01)
    torch.testing.assert_close(drawn[:, 4], torch.full((200,), 7.0).double(), rtol=0, atol=0.01)


def test_codes_of_one_dimension() -> None:
    for spec in ("gaussian", "gmm:2"):
        assert fit_density(spec, draw_clusters(size=1), 0).draw_codes(0, 9, 0).shape == (9, 1)


@pytest.mark.parametrize(
    ("spec", "codes", "message"),
    [
        ("gmm:10", draw_clusters(10), "density: gmm:10: 10 training images are too few for 10; name fewer"),
        ("gaussian", draw_clusters(1), "density: gaussian: 1 training images are too few"),
        ("gmm:3", torch.zeros(4, 2049), "density: gmm:3: a full covariance of codes of 2,049 dimensions is too large"),
        ("gmm:3", draw_clusters()[:, :1].expand(-1, 3) * 1e12, "density: gmm:3: cannot be fitted to these codes"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_a_user_error_of_one_line(spec: str, codes: Tensor, message: str) -> None:
    with pytest.raises(UserError) as caught:
        fit_density(spec, codes, 0)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_a_mixture_that_finds_no_end_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaegan.models.density.MAX_EM_ITERATIONS", 1)
    with pytest.raises(UserError, match=r"density: gmm:5: EM has not converged in 1 iterations; name fewer"):
        fit_density("gmm:5", draw_clusters(), 0)


def test_codes_of_a_run_that_diverged_are_a_failure() -> None:
    with pytest.raises(Failure, match="not finite"):
        fit_density("gaussian", draw_clusters() / 0, 0)
