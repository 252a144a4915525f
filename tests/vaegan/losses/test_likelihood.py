import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Laplace, Normal

from vaegan.losses.likelihood import NEGATIVE_LOG_DENSITY, bernoulli_nll, gaussian_nll, laplace_nll


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("name", "kind"), [("gaussian", Normal), ("laplace", Laplace)])
def test_likelihoods_equal_the_librarys(name: str, kind: type[Normal] | type[Laplace]) -> None:
    images, reconstruction = draw(4, 3, 2, 2), draw(4, 3, 2, 2, seed=1)
    expected = -Independent(kind(reconstruction, 0.3), 3).log_prob(images)
    for scale in (0.3, torch.tensor(0.3, dtype=torch.float64)):
        found = NEGATIVE_LOG_DENSITY[name](images, reconstruction, scale)
        assert found.shape == (4,)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert {"gaussian": gaussian_nll, "laplace": laplace_nll} == NEGATIVE_LOG_DENSITY


def test_the_best_scale_is_the_error_itself() -> None:
    images, reconstruction = draw(4, 3, 2, 2), draw(4, 3, 2, 2, seed=1)
    distance = images - reconstruction
    best = {"gaussian": distance.square().mean().sqrt(), "laplace": distance.abs().mean()}
    for name, scale in best.items():
        logarithm = scale.log().requires_grad_()
        nats = NEGATIVE_LOG_DENSITY[name](images, reconstruction, logarithm.exp()).mean()
        (first,) = torch.autograd.grad(nats, logarithm, create_graph=True)
        (second,) = torch.autograd.grad(first, logarithm)
        assert abs(first.item()) < 1e-10 < second.item()


def test_the_cross_entropy_of_greys_is_the_mean_over_images_of_black_and_white() -> None:
    """Over all 2^6 of them, each as probable as its pixels are white with the probability of their intensity."""
    images, pre_tanh = draw(1, 6).tanh(), draw(1, 6, seed=1)
    pixel, grey = Bernoulli((pre_tanh.tanh() + 1) / 2), Bernoulli((images + 1) / 2)
    expected = 0.0
    for number in range(2**6):
        white = torch.tensor([[number >> place & 1 for place in range(6)]]).double()
        expected -= (grey.log_prob(white).sum().exp() * pixel.log_prob(white).sum()).item()
    assert bernoulli_nll(images, pre_tanh).item() == pytest.approx(expected, rel=1e-12)
    black_and_white = torch.tensor([[[-1.0, 1.0], [1.0, -1.0]]])
    logits = torch.tensor([[[0.3, -0.2], [1.5, -4.0]]])
    found = bernoulli_nll(black_and_white, logits)
    torch.testing.assert_close(found, -Bernoulli(logits=2 * logits).log_prob(black_and_white / 2 + 0.5).sum((1, 2)))


@pytest.mark.parametrize("place", [-2e4, -40.0, -9.5, 9.5, 40.0, 2e4])
def test_the_cross_entropy_keeps_its_slope_where_the_decoder_is_saturated(place: float) -> None:
    images = torch.tensor([[-1.0, -0.25, 0.0, 0.5, 1.0]])
    pre_tanh = torch.full_like(images, place).requires_grad_()
    assert pre_tanh.tanh().abs().min() == 1  # in float32 nothing is left of p or of 1 - p
    loss = bernoulli_nll(images, pre_tanh)
    (slope,) = torch.autograd.grad(loss.sum(), pre_tanh)
    intensities, white = (images.double() + 1) / 2, place > 0
    cost = 2 * abs(place) * (1 - intensities if white else intensities)  # -log p(wrong) = |2 a|
    assert loss.item() == pytest.approx(cost.sum().item(), rel=1e-6, abs=1e-6)
    torch.testing.assert_close(slope.double(), 2 * (float(white) - intensities), rtol=1e-6, atol=1e-6)
