"""The prior of codes as a distribution: its log-probability is exact, and what has none says so."""

import math

import pytest
import scipy.stats
import torch

from vaegan.applications.code_prior import StandardNormal, get_code_prior
from vaegan.errors import UserError
from vaegan.models import AE, VAE, VQVAE
from vaegan.models.density import fit_density
from vaegan.randomness import draw_normal

SHAPE = (1, 8, 8)


def test_the_log_probability_is_scipys_and_draws_are_the_models_own() -> None:
    prior, model = StandardNormal(3), VAE(image_shape=SHAPE, width=8, latent_size=3)
    codes = draw_normal((5, 3), 0, "z").double()
    expected = scipy.stats.multivariate_normal(mean=[0, 0, 0]).logpdf(codes)
    assert prior.compute_log_probability(codes).numpy() == pytest.approx(expected, abs=1e-12)
    assert torch.equal(prior.draw_codes(2, 7, seed=4), model.draw_prior_codes(2, 7, seed=4))
    assert get_code_prior(model).draw_codes(0, 0, 0).shape == (0, 3)


@pytest.mark.parametrize("spec", ["gaussian", "gmm:2"])
def test_the_log_probability_of_a_density_is_scipys_and_has_its_gradient(spec: str) -> None:
    codes = draw_normal((60, 3), 1, "z").double() @ torch.tensor([[2.0, 0.3, 0], [0, 1, 0.5], [0, 0, 0.1]]).double() + 1
    density = fit_density(spec, codes, seed=0)
    assert get_code_prior(AE(image_shape=SHAPE, width=8, latent_size=3), density) is density
    parts = [
        math.log(weight) + scipy.stats.multivariate_normal(mean, covariance).logpdf(codes)
        for weight, mean, covariance in zip(density.weights, density.means, density.covariances, strict=True)
    ]
    probe = codes.clone().requires_grad_()
    log = density.compute_log_probability(probe)
    assert log.detach().numpy() == pytest.approx(scipy.special.logsumexp(parts, axis=0), rel=1e-9)
    assert torch.autograd.gradcheck(density.compute_log_probability, probe[:3].detach().requires_grad_())


def test_a_direction_without_variance_leaves_it_finite() -> None:
    codes = draw_normal((20, 2), 1, "z").double()
    codes[:, 1] = 3
    density = fit_density("gaussian", codes, seed=0)
    log = density.compute_log_probability(torch.tensor([[0.0, 3.0], [0.0, 4.0]]).double())
    assert log.isfinite().all() and log[0] > log[1] + 1e6


def test_families_without_such_a_prior_say_so() -> None:
    with pytest.raises(UserError, match="no prior of its codes; give a density"):
        get_code_prior(AE(image_shape=SHAPE, width=8, latent_size=3))
    with pytest.raises(UserError, match="entries of a codebook"):
        get_code_prior(VQVAE(image_shape=SHAPE, width=8))
