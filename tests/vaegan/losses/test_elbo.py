"""The terms of the ELBO against torch.distributions and their definitions."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Laplace, Normal, kl_divergence

from tests.tensors import draw_gaussian
from vaegan.losses.elbo import (
    NLL_WITH_SCALE,
    apply_free_bits,
    bernoulli_nll,
    code_nll,
    gaussian_nll,
    kl_standard_normal,
    laplace_nll,
)


@pytest.mark.parametrize(("name", "kind"), [("gaussian", Normal), ("laplace", Laplace)])
def test_likelihoods_equal_those_of_the_library(name: str, kind: type[Normal] | type[Laplace]) -> None:
    images, reconstruction = draw_gaussian(4, 3, 2, 2), draw_gaussian(4, 3, 2, 2, seed=1)
    expected = -Independent(kind(reconstruction, 0.3), 3).log_prob(images)
    for scale in (0.3, torch.tensor(0.3, dtype=torch.float64)):
        nll = NLL_WITH_SCALE[name](images, reconstruction, scale)
        assert nll.shape == (4,)
        torch.testing.assert_close(nll, expected, rtol=1e-12, atol=1e-12)
    assert {"gaussian": gaussian_nll, "laplace": laplace_nll} == NLL_WITH_SCALE


def test_the_best_scale_is_the_error_itself() -> None:
    images, reconstruction = draw_gaussian(4, 3, 2, 2), draw_gaussian(4, 3, 2, 2, seed=1)
    distance = images - reconstruction
    best = {"gaussian": distance.square().mean().sqrt(), "laplace": distance.abs().mean()}
    for name, scale in best.items():
        logarithm = scale.log().requires_grad_()
        nats = NLL_WITH_SCALE[name](images, reconstruction, logarithm.exp()).mean()
        (first,) = torch.autograd.grad(nats, logarithm, create_graph=True)
        (second,) = torch.autograd.grad(first, logarithm)
        assert abs(first.item()) < 1e-10 < second.item()


def test_the_cross_entropy_of_greys_is_the_mean_over_images_of_black_and_white() -> None:
    """Over all 2^6 of them, each as probable as its pixels are white with the probability of their intensity."""
    images, pre_tanh = draw_gaussian(1, 6).tanh(), draw_gaussian(1, 6, seed=1)
    pixel, grey = Bernoulli((pre_tanh.tanh() + 1) / 2), Bernoulli((images + 1) / 2)
    expected = 0.0
    for number in range(2**6):
        white = torch.tensor([[number >> bit & 1 for bit in range(6)]]).double()
        expected -= (grey.log_prob(white).sum().exp() * pixel.log_prob(white).sum()).item()
    assert bernoulli_nll(images, pre_tanh).item() == pytest.approx(expected, rel=1e-12)
    black_and_white = torch.tensor([[[-1.0, 1.0], [1.0, -1.0]]])
    logits = torch.tensor([[[0.3, -0.2], [1.5, -4.0]]])
    nll = bernoulli_nll(black_and_white, logits)
    torch.testing.assert_close(nll, -Bernoulli(logits=2 * logits).log_prob(black_and_white / 2 + 0.5).sum((1, 2)))


@pytest.mark.parametrize("value", [-2e4, -40.0, -9.5, 9.5, 40.0, 2e4])
def test_the_cross_entropy_keeps_its_slope_where_the_decoder_is_saturated(value: float) -> None:
    images = torch.tensor([[-1.0, -0.25, 0.0, 0.5, 1.0]])
    pre_tanh = torch.full_like(images, value).requires_grad_()
    assert pre_tanh.tanh().abs().min() == 1  # in float32 nothing is left of p or of 1 - p
    loss = bernoulli_nll(images, pre_tanh)
    (slope,) = torch.autograd.grad(loss.sum(), pre_tanh)
    intensities, white = (images.double() + 1) / 2, value > 0
    cost = 2 * abs(value) * (1 - intensities if white else intensities)  # -log p(wrong) = |2 a|
    assert loss.item() == pytest.approx(cost.sum().item(), rel=1e-6, abs=1e-6)
    torch.testing.assert_close(slope.double(), 2 * (float(white) - intensities), rtol=1e-6, atol=1e-6)


def test_kl_equals_its_monte_carlo_estimate() -> None:
    mean, log_variance = torch.tensor([0.7, -1.2, 0.0]), torch.tensor([-1.0, 0.5, -4.0])
    posterior, prior = Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)
    codes = mean + (0.5 * log_variance).exp() * draw_gaussian(400_000, 3).float()
    terms = posterior.log_prob(codes) - prior.log_prob(codes)
    error = terms.std(0) / len(codes) ** 0.5
    assert ((kl_standard_normal(mean, log_variance) - terms.mean(0)).abs() < 4 * error).all()
    assert (error < 0.005).all()


def test_kl_equals_the_library_and_is_zero_at_the_prior_alone() -> None:
    mean, log_variance = draw_gaussian(5, 3), draw_gaussian(5, 3, seed=1)
    expected = kl_divergence(Normal(mean, log_variance.exp().sqrt()), Normal(torch.zeros(3).double(), 1.0))
    torch.testing.assert_close(kl_standard_normal(mean, log_variance), expected, rtol=1e-12, atol=1e-12)
    assert kl_standard_normal(torch.zeros(2), torch.zeros(2)).tolist() == [0, 0]
    assert (kl_standard_normal(mean, log_variance) > 0).all()


def test_free_bits_leave_no_gradient_below_and_all_of_it_above() -> None:
    divergence = torch.tensor([[0.1, 0.5, 0.3], [0.0, 2.0, 0.2]], requires_grad=True)
    clamped = apply_free_bits(divergence, 0.25)
    assert clamped.tolist() == torch.tensor([[0.25, 0.5, 0.3], [0.25, 2.0, 0.25]]).tolist()
    clamped.sum().backward()
    assert divergence.grad is not None and divergence.grad.tolist() == [[0, 1, 1], [0, 1, 0]]
    assert apply_free_bits(divergence, 0.0) is divergence


def test_the_nll_of_a_code_is_that_of_a_gaussian() -> None:
    codes, mean, log_variance = (draw_gaussian(4, 3, seed=seed) for seed in range(3))
    expected = -Normal(mean, (0.5 * log_variance).exp()).log_prob(codes)
    torch.testing.assert_close(code_nll(codes, mean, log_variance), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", ["gaussian", "laplace", "bernoulli", "kl", "free"])
def test_a_loss_of_an_image_does_not_depend_on_its_neighbours(loss: str) -> None:
    a, b = draw_gaussian(8, 3), draw_gaussian(8, 3, seed=1)

    def value(a: Tensor, b: Tensor) -> Tensor:
        return {
            "gaussian": lambda: gaussian_nll(a, b, 0.3),
            "laplace": lambda: laplace_nll(a, b, torch.tensor(0.3)),
            "bernoulli": lambda: bernoulli_nll(a.tanh(), b),
            "kl": lambda: kl_standard_normal(a, b).sum(1),
            "free": lambda: apply_free_bits(kl_standard_normal(a, b), 0.4).sum(1),
        }[loss]()

    torch.testing.assert_close(value(a, b), torch.cat([value(a[i : i + 1], b[i : i + 1]) for i in range(8)]))
