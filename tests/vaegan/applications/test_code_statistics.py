"""Statistics of codes are those of planted posteriors, in closed form."""

import math

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from vaegan.applications.code_statistics import compute_aggregate_cdf, compute_code_statistics
from vaegan.errors import UserError
from vaegan.models import VAE, Posterior
from vaegan.models.posterior import make_deterministic
from vaegan.randomness import draw_normal

SCALE = 0.1
STRENGTHS = torch.tensor([0.2, 0.0, 0.8, 0.4], dtype=torch.float64)
"""Norms w_j of the orthogonal columns of a linear decoder, whose noise has the deviation `SCALE`."""
PRECISIONS = 1 + (STRENGTHS / SCALE).square()


class Encoder(torch.nn.Module):
    """The posterior of x = W z + noise with orthogonal columns W (Tipping & Bishop 1999, eq. 6)."""

    def __init__(self) -> None:
        super().__init__()
        directions, _ = torch.linalg.qr(draw_normal((64, 4), 0, "directions").double())
        self.register_buffer("weight", directions * STRENGTHS)

    def forward(self, images: Tensor) -> Tensor:
        means = images.flatten(1) @ self.weight / (SCALE**2 * PRECISIONS)
        return torch.cat([means, -PRECISIONS.log().expand_as(means)], 1)


def draw_exact(count: int, covariance: Tensor) -> Tensor:
    """Draw normal vectors (count, D) of mean 0 and exactly that covariance."""
    noise = draw_normal((count, len(covariance)), 1, "noise").double()
    noise = noise - noise.mean(0)
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(noise.T @ noise / count), noise.T, upper=False).T
    return whitened @ torch.linalg.cholesky(covariance).T


def test_a_linear_vae_has_its_divergences_in_closed_form() -> None:
    """The optimal linear VAE: KL_j = 1/2 log(1 + w_j^2 / scale^2), and the aggregate posterior is the prior."""
    encoder, count = Encoder(), 1000
    model = VAE(image_shape=(1, 8, 8), width=8, latent_size=4, networks={"encoder": encoder}).double().eval()
    covariance = encoder.weight @ encoder.weight.T + SCALE**2 * torch.eye(64).double()
    posterior = model.encode(draw_exact(count, covariance).unflatten(1, (1, 8, 8)))
    statistics = compute_code_statistics(posterior)
    torch.testing.assert_close(statistics.kl, 0.5 * PRECISIONS.log(), rtol=0, atol=1e-9)
    torch.testing.assert_close(statistics.mean_variance, (1 - 1 / PRECISIONS) * count / (count - 1))
    assert statistics.active.tolist() == [True, False, True, True] and statistics.order.tolist() == [2, 3, 0]
    torch.testing.assert_close(statistics.mean, torch.zeros(4).double())
    torch.testing.assert_close(statistics.variance, torch.ones(4).double())
    assert statistics.gaussian_kl.abs().max() < 1e-9 and statistics.wasserstein.max() < 0.05
    torch.testing.assert_close(posterior.kl().mean(), statistics.kl.sum())


def test_distances_from_the_prior_are_those_of_known_distributions() -> None:
    """Of N(m, 1): |m|; of N(0, s^2): |s - 1| sqrt(2 / pi)."""
    means = torch.tensor([0.7, 0.0, 0.0, -20.0]).double().expand(3, 4)
    deviations = torch.tensor([1.0, 1.5, 0.05, 1.0]).double().expand(3, 4)
    statistics = compute_code_statistics(Posterior(means, 2 * deviations.log()))
    expected = torch.tensor([0.7, 0.5 * math.sqrt(2 / math.pi), 0.95 * math.sqrt(2 / math.pi), 20.0]).double()
    torch.testing.assert_close(statistics.wasserstein, expected, rtol=0, atol=2e-3)
    assert statistics.gaussian_kl[0].item() == pytest.approx(0.5 * 0.7**2)
    assert not statistics.active.any() and statistics.kl[1] > 0, "a divergence alone is no information"


def test_the_distribution_of_all_codes_is_the_mean_of_the_images() -> None:
    values = torch.tensor([-1.0, 0.0, 2.0]).double()
    cdf = compute_aggregate_cdf(torch.tensor([0.0, 2.0]).double(), torch.tensor([0.0, -torch.inf]).double(), values)
    normal = torch.special.ndtr(values)
    torch.testing.assert_close(cdf, (normal + torch.tensor([0.0, 0.0, 0.5]).double()) / 2)


def test_dimensions_keep_their_statistics_in_any_order() -> None:
    means = draw_normal((50, 5), 0, "means") * torch.tensor([1.0, 0.01, 0.5, 2.0, 0.1])
    posterior = Posterior(means, draw_normal((50, 5), 0, "logs") - 1)
    one = compute_code_statistics(posterior)
    order = torch.tensor([3, 1, 4, 0, 2])
    other = compute_code_statistics(Posterior(means[:, order], posterior.log_variance[:, order]))
    for name in ("kl", "mean_variance", "mean", "variance", "gaussian_kl", "wasserstein", "active"):
        torch.testing.assert_close(getattr(other, name), getattr(one, name)[order], rtol=0, atol=1e-12)
    assert order[other.order].tolist() == one.order.tolist() and 1 not in one.order


def test_a_deterministic_code_is_ordered_by_its_variance_and_has_no_prior() -> None:
    codes = torch.tensor([[0.0, 1.0, 3.0], [1.0, 1.0, -3.0]])
    statistics = compute_code_statistics(make_deterministic(codes))
    assert statistics.kl is statistics.gaussian_kl is statistics.wasserstein is None
    assert statistics.order.tolist() == [2, 0] and statistics.information.tolist() == [0.5, 0.0, 18.0]
    assert statistics.variance.tolist() == [0.25, 0.0, 9.0]


def test_what_has_no_statistics_is_refused() -> None:
    with pytest.raises(UserError, match="1 images: a variance"):
        compute_code_statistics(make_deterministic(torch.zeros(1, 2)))


def test_codes_on_a_gpu_have_their_statistics_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "item", lambda _: 1.0)
    monkeypatch.setattr(Tensor, "__bool__", lambda _: False)  # that the code is deterministic
    with FakeTensorMode():
        posterior = Posterior(torch.empty(5, 3, device="cuda"), torch.empty(5, 3, device="cuda"))
        assert compute_code_statistics(posterior).wasserstein.device.type == "cuda"
