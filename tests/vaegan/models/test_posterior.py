"""The posterior: its divergence from the prior, and its samples."""

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from vaegan.errors import UserError
from vaegan.models import Posterior
from vaegan.models.posterior import make_deterministic


def draw_posterior() -> Posterior:
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    return Posterior(mean, log_variance)


def test_the_divergence_is_that_of_two_gaussians_in_nats_of_each_image() -> None:
    posterior = draw_posterior()
    q = Independent(Normal(posterior.mean, posterior.variance.sqrt()), 1)
    prior = Independent(Normal(torch.zeros(5, 4).double(), torch.ones(5, 4).double()), 1)
    assert posterior.kl().shape == (5,)
    torch.testing.assert_close(posterior.kl(), kl_divergence(q, prior), rtol=1e-12, atol=1e-12)
    assert (Posterior(torch.zeros(2, 3), torch.zeros(2, 3)).kl() == 0).all()
    assert (make_deterministic(torch.randn(3, 4)).kl() == torch.inf).all()


def test_without_noise_a_sample_is_fresh_and_of_the_posterior() -> None:
    posterior = draw_posterior()
    torch.manual_seed(1)
    first, second = posterior.sample(), posterior.sample()
    assert first.dtype == torch.float64 and (first != second).all()
    torch.manual_seed(1)
    assert torch.equal(posterior.sample(), first)
    wide = Posterior(*(value.repeat(20_000, 1) for value in (posterior.mean[:1], posterior.log_variance[:1])))
    samples = wide.sample()
    torch.testing.assert_close(samples.mean(0), posterior.mean[0], rtol=0, atol=0.1)
    torch.testing.assert_close(samples.var(0).log(), posterior.log_variance[0], rtol=0, atol=0.1)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (5, 3), (2, 5, 4)])
def test_noise_that_would_be_repeated_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"^noise: of shape .*; give that of the codes, \(5, 4\)$"):
        draw_posterior().sample(torch.zeros(shape))
