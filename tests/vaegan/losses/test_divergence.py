import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from vaegan.losses.adversarial import REAL, classification_loss, feature_distance
from vaegan.losses.divergence import apply_free_bits, code_nll, frechet_standard_normal, kl_standard_normal, mmd_imq
from vaegan.losses.likelihood import bernoulli_nll, gaussian_nll, laplace_nll


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_kl_equals_its_monte_carlo_estimate() -> None:
    mean, log_variance = torch.tensor([0.7, -1.2, 0.0]), torch.tensor([-1.0, 0.5, -4.0])
    posterior, prior = Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)
    codes = mean + (0.5 * log_variance).exp() * draw(400_000, 3).float()
    terms = posterior.log_prob(codes) - prior.log_prob(codes)
    error = terms.std(0) / len(codes) ** 0.5
    assert ((kl_standard_normal(mean, log_variance) - terms.mean(0)).abs() < 4 * error).all()
    assert (error < 0.005).all()


def test_kl_equals_the_library_and_is_zero_at_the_prior_alone() -> None:
    mean, log_variance = draw(5, 3), draw(5, 3, seed=1)
    expected = kl_divergence(Normal(mean, log_variance.exp().sqrt()), Normal(torch.zeros(3).double(), 1.0))
    torch.testing.assert_close(kl_standard_normal(mean, log_variance), expected, rtol=1e-12, atol=1e-12)
    assert kl_standard_normal(torch.zeros(2), torch.zeros(2)).tolist() == [0, 0]
    assert (kl_standard_normal(mean, log_variance) > 0).all()


def test_free_bits_leave_no_gradient_below_and_all_of_it_above() -> None:
    divergence = torch.tensor([[0.1, 0.5, 0.3], [0.0, 2.0, 0.2]], requires_grad=True)
    costly = apply_free_bits(divergence, 0.25)
    assert costly.tolist() == torch.tensor([[0.25, 0.5, 0.3], [0.25, 2.0, 0.25]]).tolist()
    costly.sum().backward()
    assert divergence.grad is not None and divergence.grad.tolist() == [[0, 1, 1], [0, 1, 0]]
    assert apply_free_bits(divergence, 0.0) is divergence


def test_mmd_is_unbiased() -> None:
    """Over many draws it has mean 0 for the prior itself, so it is below 0 as often as it must be."""
    values = torch.stack([mmd_imq(draw(32, 4, seed=i), draw(32, 4, seed=1000 + i)) for i in range(300)])
    assert values.mean().abs() < 4 * values.std() / 300**0.5
    assert (values < 0).any()


def test_mmd_equals_its_definition_and_sees_shift_and_scale() -> None:
    codes, prior = draw(6, 3) * 0.5 + 1, draw(5, 3, seed=1)
    constants = [2 * 3 * scale for scale in (0.1, 0.2, 0.5, 1, 2, 5, 10)]

    def kernel(a: Tensor, b: Tensor) -> float:
        distance = sum((x - y) ** 2 for x, y in zip(a.tolist(), b.tolist(), strict=True))
        return sum(constant / (constant + distance) for constant in constants) / 7

    within = [
        sum(kernel(a, b) for i, a in enumerate(few) for j, b in enumerate(few) if i != j) / len(few) / (len(few) - 1)
        for few in (codes, prior)
    ]
    across = sum(kernel(a, b) for a in codes for b in prior) / 30
    assert mmd_imq(codes, prior).item() == pytest.approx(sum(within) - 2 * across, abs=1e-12)
    many, reference = draw(400, 4, seed=2), draw(400, 4, seed=3)
    same = mmd_imq(many, reference).abs()
    assert mmd_imq(many + 0.5, reference) > 10 * same
    assert mmd_imq(many * 0.5, reference) > 10 * same


@pytest.mark.parametrize("size", [1, 3])
def test_frechet_equals_the_matrix_square_root(size: int) -> None:
    codes = draw(50, size) @ draw(size, size, seed=1) + draw(size, seed=2)
    mean, spread = codes.mean(0).numpy(), np.atleast_2d(np.cov(codes.numpy().T))
    root = scipy.linalg.sqrtm(spread).real
    expected = mean @ mean + np.trace(spread + np.eye(size) - 2 * root)
    assert frechet_standard_normal(codes).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("count", "size"), [(5, 5), (5, 9), (2, 40)])
def test_frechet_of_fewer_codes_than_dimensions_is_that_of_their_covariance(count: int, size: int) -> None:
    codes = draw(count, size) * 2 + 1
    spread = torch.linalg.eigvalsh(torch.cov(codes.T)).clamp_min(0).sqrt()
    expected = (codes.mean(0).square().sum() + (spread - 1).square().sum()).item()
    assert frechet_standard_normal(codes).item() == pytest.approx(expected, rel=1e-6)


def test_frechet_is_zero_where_mean_and_covariance_are_the_priors() -> None:
    codes = draw(40, 4)
    codes -= codes.mean(0)
    codes = codes @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(codes.T)).T)
    assert frechet_standard_normal(codes).item() == pytest.approx(0, abs=1e-12)
    assert frechet_standard_normal(codes + 1).item() == pytest.approx(4, abs=1e-10)
    assert frechet_standard_normal(codes * 3).item() == pytest.approx(4 * (3 - 1) ** 2, abs=1e-10)


@pytest.mark.parametrize("loss", ["gaussian", "laplace", "bernoulli", "kl", "free", "three", "two", "features"])
def test_a_loss_of_an_image_does_not_depend_on_its_neighbours(loss: str) -> None:
    a, b = draw(8, 3), draw(8, 3, seed=1)

    def value(a: Tensor, b: Tensor) -> Tensor:
        return {
            "gaussian": lambda: gaussian_nll(a, b, 0.3),
            "laplace": lambda: laplace_nll(a, b, torch.tensor(0.3)),
            "bernoulli": lambda: bernoulli_nll(a.tanh(), b),
            "kl": lambda: kl_standard_normal(a, b).sum(1),
            "free": lambda: apply_free_bits(kl_standard_normal(a, b), 0.4).sum(1),
            "three": lambda: classification_loss(a, REAL),
            "two": lambda: classification_loss(a[:, :1], REAL),
            "features": lambda: feature_distance(a, b),
        }[loss]()

    torch.testing.assert_close(value(a, b), torch.cat([value(a[i : i + 1], b[i : i + 1]) for i in range(8)]))


def test_the_surprise_at_a_code_is_that_of_a_gaussian() -> None:
    codes, mean, log_variance = (draw(4, 3, seed=seed) for seed in range(3))
    expected = -Normal(mean, (0.5 * log_variance).exp()).log_prob(codes)
    torch.testing.assert_close(code_nll(codes, mean, log_variance), expected, rtol=1e-12, atol=1e-12)
