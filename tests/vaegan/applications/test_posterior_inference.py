"""With a linear decoder the most probable code is the posterior's mean, and draws have its mean and covariance."""

import math

import pytest
import torch
from torch import Tensor

from vaegan.applications.linear_operators import Blur, Grey, Identity, LinearOperator, Mask, Reduce
from vaegan.applications.posterior_inference import (
    CodePosterior,
    Measurement,
    approximate_posterior,
    find_map_codes,
    get_pixel_scale,
)
from vaegan.applications.posterior_sampling import (
    draw_by_importance,
    draw_by_langevin,
    infer_codes,
)
from vaegan.errors import UserError
from vaegan.models import AE, VAE, VQVAE
from vaegan.models.density import fit_density
from vaegan.randomness import draw_normal

from .linear_model import LinearAE, build_linear, compute_posterior

NOISE, COUNT = 0.1, 3
VISIBLE = draw_normal((1, 8, 8), 0, "visible") > 0.9
OPERATORS: dict[str, tuple[int, LinearOperator]] = {
    "identity": (1, Identity()), "mask": (1, Mask(VISIBLE)), "reduce": (1, Reduce(4)), "blur": (1, Blur(1.5)),
    "grey": (3, Grey()),
}  # fmt: skip


def measure(channels: int, operator: LinearOperator) -> Tensor:
    return operator.apply(draw_normal((COUNT, channels, 8, 8), 0, "images").double() * 0.5)


def test_a_scale_is_that_of_the_pixels() -> None:
    shape = {"image_shape": (1, 8, 8), "width": 8, "latent_size": 2}
    assert get_pixel_scale(VAE(**shape, scale=0.3)) == 0.3
    assert get_pixel_scale(VAE(**shape, scale=0.3, learned_scale=True)) == pytest.approx(0.3)
    laplace = torch.distributions.Laplace(0, 0.3)
    assert get_pixel_scale(VAE(**shape, scale=0.3, likelihood="laplace")) == pytest.approx(laplace.stddev.item())
    assert get_pixel_scale(VAE(**shape, scale=0.3, likelihood="bernoulli")) == get_pixel_scale(AE(**shape)) == 0.2


@pytest.mark.parametrize("name", OPERATORS)
def test_the_most_probable_code_is_the_mean_of_the_gaussian_posterior(name: str) -> None:
    channels, operator = OPERATORS[name]
    model, values = build_linear(channels=channels), measure(channels, operator)
    mean, covariance = compute_posterior(model, operator, values, 0.4, NOISE)
    posterior = CodePosterior(model, Measurement(operator, values, NOISE))
    codes = infer_codes(posterior, steps=400, restarts=2).codes
    torch.testing.assert_close(codes[0], mean, rtol=0, atol=1e-4)
    laplace = approximate_posterior(posterior, mean)
    torch.testing.assert_close(laplace.covariance, covariance.expand(COUNT, -1, -1), rtol=1e-9, atol=1e-12)
    noise = draw_normal((5, COUNT, 3), 1, "codes").double()
    gaussian = torch.distributions.MultivariateNormal(mean, covariance)
    differences = posterior.compute_log_density(noise) - gaussian.log_prob(noise)
    torch.testing.assert_close(differences, differences[:1].expand(5, -1))


@pytest.mark.parametrize("name", ["mask", "reduce"])
def test_draws_have_the_mean_and_the_covariance_of_the_posterior(name: str) -> None:
    channels, operator = OPERATORS[name]
    model, values = build_linear(), measure(channels, operator)
    mean, covariance = compute_posterior(model, operator, values, 0.4, NOISE)
    posterior = CodePosterior(model, Measurement(operator, values, NOISE))
    off = mean + torch.tensor([1.0, -0.5, 0.5]).double()  # chains must find the posterior, and weights mend a proposal
    crooked = approximate_posterior(posterior, off)
    crooked = type(crooked)(off, crooked.root @ torch.tensor([[1.5, 0, 0], [0.4, 1, 0], [0, 0.3, 1.2]]).double())
    count = 2000
    chains, acceptance = draw_by_langevin(posterior, crooked, count, seed=1, steps=60)
    assert ((acceptance > 0.4) & (acceptance < 0.8)).all()
    chosen, effective = draw_by_importance(posterior, crooked, count, seed=1, proposals=20_000)
    assert ((effective > 500) & (effective < 20_000)).all()
    for draws, sizes in ((chains, [count] * COUNT), (chosen, effective.clamp_max(count).tolist())):
        for image, size in enumerate(sizes):
            standard = torch.linalg.solve_triangular(
                torch.linalg.cholesky(covariance), (draws[:, image] - mean[image]).T, upper=False
            )
            error = 4.5 / size**0.5
            assert standard.mean(1).abs().max() < error
            assert (torch.cov(standard) - torch.eye(3)).abs().max() < 2 * error


def test_the_pull_of_a_proposal_away_from_the_posterior_is_weighed_out_of_its_effective_size() -> None:
    model, operator = build_linear(), OPERATORS["mask"][1]
    values = measure(1, operator)
    posterior = CodePosterior(model, Measurement(operator, values, NOISE))
    mean, _ = compute_posterior(model, operator, values, 0.4, NOISE)
    good = approximate_posterior(posterior, mean)
    far = type(good)(mean + 3, good.root)
    sizes = [draw_by_importance(posterior, laplace, 4, seed=0)[1] for laplace in (good, far)]
    assert (sizes[0] > 300).all() and (sizes[1] < 60).all()


def test_a_density_is_the_prior_of_a_model_without_one() -> None:
    model, operator = build_linear(LinearAE), OPERATORS["mask"][1]
    values = measure(1, operator)
    draws = draw_normal((50, 3), 2, "codes").double() @ torch.tensor([[2.0, 1, 0], [0, 1, 0.3], [0, 0, 0.5]]).double()
    density = fit_density("gaussian", draws + 3, seed=0)
    mean, covariance = compute_posterior(model, operator, values, 0.3, NOISE, density.means[0], density.covariances[0])
    posterior = CodePosterior(model, Measurement(operator, values, NOISE), density, scale=0.3)
    found = infer_codes(posterior, 2, "importance", steps=400, restarts=2)
    torch.testing.assert_close(found.codes[0], mean, rtol=0, atol=1e-4)
    laplace = approximate_posterior(posterior, mean)
    torch.testing.assert_close(laplace.covariance, covariance.expand(COUNT, -1, -1), rtol=1e-9, atol=1e-12)
    with pytest.raises(UserError, match="no prior of its codes; give a density"):
        CodePosterior(model, Measurement(operator, values))


@pytest.mark.parametrize("sampler", ["langevin", "importance"])
def test_an_image_depends_neither_on_the_others_nor_on_their_number(sampler: str) -> None:
    model = VAE(image_shape=(1, 8, 8), network="conv", width=8, latent_size=3).double().eval().requires_grad_(False)
    visible = draw_normal((COUNT, 1, 8, 8), 1, "visible") > 0
    images = draw_normal((COUNT, 1, 8, 8), 0, "images").double().clamp(-1, 1)

    def infer(order: list[int]) -> Tensor:
        operator = Mask(visible[order])
        posterior = CodePosterior(model, Measurement(operator, operator.apply(images[order])))
        return infer_codes(posterior, 3, sampler, seed=4, restarts=3, steps=20).codes

    together = infer([0, 1, 2])
    assert len({tuple(code.tolist()) for code in together[:, 0]}) > 1
    torch.testing.assert_close(infer([2, 0])[:, [1, 0]], together[:, [0, 2]], rtol=0, atol=1e-9)
    torch.testing.assert_close(infer([1]), together[:, [1]], rtol=0, atol=1e-9)


def test_the_best_of_several_starts_is_returned() -> None:
    model = build_linear()
    values = measure(1, Identity())
    posterior = CodePosterior(model, Measurement(Identity(), values))
    mean, _ = compute_posterior(model, Identity(), values, 0.4, posterior.measurement.noise)
    starts = torch.stack([mean + 40, mean, mean - 40])
    starts[0, 1], starts[1, 1] = mean[1], mean[1] + 40
    torch.testing.assert_close(find_map_codes(posterior, starts, 3), mean, rtol=0, atol=0.5)


def test_conditional_models_are_searched_in_the_class_of_each_image() -> None:
    model = VAE(image_shape=(1, 8, 8), width=8, latent_size=3, labels=2).double().eval().requires_grad_(False)
    images = model.decode(draw_normal((2, 3), 0, "codes").double(), torch.tensor([1, 0]))

    def infer(chosen: slice, labels: Tensor | int) -> Tensor:
        posterior = CodePosterior(model, Measurement(Identity(), images[chosen]), labels=labels)
        return infer_codes(posterior, 2, seed=4, restarts=2, steps=20).codes

    both = infer(slice(None), torch.tensor([1, 0]))
    torch.testing.assert_close(both[:, :1], infer(slice(0, 1), 1), rtol=0, atol=1e-9)
    torch.testing.assert_close(both[:, 1:], infer(slice(1, 2), 0), rtol=0, atol=1e-9)
    with pytest.raises(UserError, match="this model is conditional"):
        CodePosterior(model, Measurement(Identity(), images))


def test_what_cannot_be_inferred_is_said_in_a_line() -> None:
    values = torch.zeros(1, 1, 8, 8)
    with pytest.raises(UserError, match="entries of a codebook"):
        CodePosterior(VQVAE(image_shape=(1, 8, 8), width=8), Measurement(Identity(), values))
    wide = VAE(image_shape=(1, 8, 8), network="mlp", width=8, latent_size=1025).eval()
    posterior = CodePosterior(wide, Measurement(Identity(), values))
    with pytest.raises(UserError, match="codes of 1,025 values: several answers need"):
        infer_codes(posterior, 2, steps=1)
    with pytest.raises(UserError, match="sampler: gibbs; give langevin or importance"):
        infer_codes(posterior, 2, "gibbs", steps=1)
    for scale in (0.0, -1.0, math.nan):
        with pytest.raises(UserError, match=f"scale: {scale:g}; give a number above 0"):
            CodePosterior(wide, Measurement(Identity(), values), scale=scale)
    for name in ("answers", "restarts"):
        with pytest.raises(UserError, match=f"{name}: 0; give at least 1"):
            infer_codes(posterior, steps=1, **{name: 0})
