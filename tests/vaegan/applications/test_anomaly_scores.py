"""Scores of models whose likelihood, code or reconstruction is known, and families that say what they have not."""

import math
from functools import partial

import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from vaegan.applications.anomaly_scores import (
    POSTERIOR_DRAWS,
    SCORES,
    Judges,
    compute_anomaly_maps,
    compute_anomaly_scores,
    count_png_bits,
)
from vaegan.config.models import VAEConfig
from vaegan.errors import UserError
from vaegan.images import to_float
from vaegan.losses.adversarial import realness
from vaegan.losses.perceptual import build_random_lpips_network
from vaegan.models import VAE, VQVAE, Autoencoder, Classifier, PixelCNN, Posterior, build_model
from vaegan.models.density import fit_density
from vaegan.networks.build import build_discriminator
from vaegan.randomness import draw_normal

from ...tiny import tiny

SHAPE = (1, 8, 8)
SCALE = 0.3
LOG_LEVEL = math.log(2 / 255)
"""Width of one of the 256 levels, which turns a density into a probability."""


class LinearModel(VAE):
    """G(z) = W z with orthogonal columns of W, whose exact posterior is a diagonal Gaussian.

    Args:
        mistake: What is added to the posterior's log-variance.
    """

    def __init__(self, mistake: float = 0.0) -> None:
        super().__init__(VAEConfig(network="mlp", width=8, latent_size=3, scale=SCALE), SHAPE, 0)
        self.double().eval().requires_grad_(False)
        self.mistake = mistake
        lengths = torch.tensor([2.0, 1.0, 0.5]).double()
        self.weight = torch.linalg.qr(draw_normal((64, 3), 0, "weight").double())[0] * lengths
        self.code_variance = 1 / (1 + lengths.square() / SCALE**2)

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        mean = images.flatten(1) @ self.weight * self.code_variance / SCALE**2
        return Posterior(mean, (self.code_variance.log() + self.mistake).expand_as(mean))

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        return (codes @ self.weight.T).unflatten(1, SHAPE)

    def draw_pixels(self, count: int) -> Tensor:
        """Draw images of the model, uint8."""
        codes = draw_normal((count, 3), 0, "codes").double()
        images = self.decode(codes) + SCALE * draw_normal((count, *SHAPE), 0, "noise")
        return (images * 127.5 + 127.5).round().clamp(1, 254).to(torch.uint8)


class Copy(VAE):
    """A model whose reconstruction is a set of given images, whatever it is shown."""

    def __init__(self, reconstruction: Tensor) -> None:
        super().__init__(VAEConfig(network="mlp", width=8, latent_size=2), tuple(reconstruction.shape[1:]), 0)
        self.eval().requires_grad_(False)
        self.given = to_float(reconstruction)

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        return Posterior(images.new_zeros(len(images), 2), images.new_zeros(len(images), 2))

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        return self.given.expand(len(codes), -1, -1, -1)


def draw_pixels(count: int, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def build(name: str, *overrides: str) -> Autoencoder:
    return build_model(tiny(name, *overrides).model, SHAPE, 0).eval().requires_grad_(False)


def test_bounds_of_a_linear_model_are_its_log_probability() -> None:
    """With the exact posterior every importance weight is p(x), whatever the draws."""
    model = LinearModel()
    pixels = model.draw_pixels(60)
    covariance = model.weight @ model.weight.T + SCALE**2 * torch.eye(64).double()
    exact = -scipy.stats.multivariate_normal(cov=covariance).logpdf(to_float(pixels, torch.float64).flatten(1))
    exact -= 64 * LOG_LEVEL
    scores = compute_anomaly_scores(["elbo", "iwae", "elbo_complexity"], model, pixels)
    assert scores["iwae"].numpy() == pytest.approx(exact, abs=0.02)
    errors = scores["elbo"].numpy() - exact
    assert errors.std() < 0.1, "the draws are the same for all images, and so is their error"
    assert abs(errors.mean()) < 3 * math.sqrt(3 / 2 / POSTERIOR_DRAWS), "of half a chi-square of three dimensions"
    bits = scores["elbo"] / math.log(2) - count_png_bits(pixels)
    assert torch.equal(scores["elbo_complexity"], bits)


def test_a_wrong_posterior_makes_the_bounds_looser_and_the_elbo_the_loosest() -> None:
    model = LinearModel(mistake=1.0)
    pixels = model.draw_pixels(60)
    scores = compute_anomaly_scores(["elbo", "iwae"], model, pixels)
    images = to_float(pixels, torch.float64)
    posterior = model.encode(images)
    likelihoods = [
        scipy.stats.norm.logpdf(images, model.decode(posterior.sample(noise.double().expand(60, 3))), SCALE).sum(
            (1, 2, 3)
        )
        for noise in (draw_normal((3,), 0, "anomaly", draw) for draw in range(POSTERIOR_DRAWS))
    ]
    expected = posterior.kl().numpy() - sum(likelihoods) / POSTERIOR_DRAWS - 64 * LOG_LEVEL
    assert scores["elbo"].numpy() == pytest.approx(expected, abs=0.05)
    exact = compute_anomaly_scores(["iwae"], LinearModel(), pixels)["iwae"]
    assert (exact - 0.5 < scores["iwae"]).all() and (scores["iwae"] < scores["elbo"] - 0.3).all()


@pytest.mark.parametrize("name", [name for name in SCORES if name not in ("features", "realness", "lpips")])
def test_a_score_depends_on_its_image_alone(name: str) -> None:
    model, pixels = build("vae", "model.labels=null").double(), draw_pixels(7)
    judges = Judges(code=fit_density("gaussian", model.encode(to_float(draw_pixels(50), torch.float64)).mean, 0))
    whole = compute_anomaly_scores([name], model, pixels, judges)[name]
    parts = [compute_anomaly_scores([name], model, pixels[i, None], judges)[name] for i in (6, 2)]
    torch.testing.assert_close(torch.cat(parts), whole[[6, 2]], rtol=1e-9, atol=1e-9)
    assert whole.dtype == torch.float64 and whole.shape == (7,)


def test_reconstruction_scores_are_distances_from_the_reconstruction() -> None:
    reconstruction, pixels = draw_pixels(1, (3, 16, 16), 1), draw_pixels(4, (3, 16, 16))
    classifier = Classifier(image_shape=(3, 16, 16), width=8, classes=3).eval().requires_grad_(False)
    judges = Judges(build_random_lpips_network().eval(), classifier)
    model = Copy(reconstruction)
    scores = compute_anomaly_scores(["pixels", "lpips", "features"], model, pixels, judges)
    error = (to_float(pixels).double() - to_float(reconstruction).double()).square()
    assert scores["pixels"].numpy() == pytest.approx(error.mean((1, 2, 3)).numpy(), rel=1e-5)
    difference = classifier.features(pixels) - classifier.features(reconstruction)
    assert scores["features"].numpy() == pytest.approx(0.5 * difference.square().mean(1).numpy(), rel=1e-4)
    assert (scores["lpips"] > 0.01).all()
    for name in ("pixels", "lpips", "features"):
        itself = compute_anomaly_scores([name], model, reconstruction, judges)[name]
        assert itself.item() == pytest.approx(0, abs=1e-6), name
        maps = compute_anomaly_maps(name, model, pixels, judges)
        assert maps.shape == (4, 16, 16) and maps.dtype == torch.float32 and (maps >= 0).all()
        if name != "features":  # whose score is of the mean over places, not the mean of distances
            assert maps.mean((1, 2)).numpy() == pytest.approx(scores[name].numpy(), rel=0.02), name


@pytest.mark.parametrize("name", ["pixels", "lpips", "features"])
def test_maps_are_largest_where_an_image_is_not_like_its_reconstruction(name: str) -> None:
    reconstruction = draw_pixels(1, (3, 32, 32)) // 4 + 90
    pixels = reconstruction.clone()
    pixels[:, :, 20:28, 4:12] = 255
    classifier = Classifier(image_shape=(3, 32, 32), width=8, classes=3).eval().requires_grad_(False)
    judges = Judges(build_random_lpips_network().eval(), classifier)
    (found,) = compute_anomaly_maps(name, Copy(reconstruction), pixels, judges)
    assert found[20:28, 4:12].mean() > 1.4 * found[:16, 16:].mean(), "normalisation spreads it in networks"


def test_code_is_the_density_of_the_posterior_mean_and_its_map_a_gradient() -> None:
    model, pixels = LinearModel(), draw_pixels(3)
    codes = draw_normal((500, 3), 0, "codes").double() * torch.tensor([1.0, 2.0, 3.0])
    density = fit_density("gaussian", codes, 0)
    found = compute_anomaly_scores(["code"], model, pixels, Judges(code=density))["code"]
    expected = scipy.stats.multivariate_normal(density.means[0], density.covariances[0])
    mean = model.encode(to_float(pixels, torch.float64)).mean
    assert found.numpy() == pytest.approx(-expected.logpdf(mean), rel=1e-9)
    gradient = torch.linalg.solve(density.covariances[0], (mean - density.means).T).T
    gradient = (gradient * model.code_variance / SCALE**2) @ model.weight.T
    maps = compute_anomaly_maps("code", model, pixels, Judges(code=density))
    torch.testing.assert_close(maps.flatten(1), gradient.abs().float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("classes", ["two", "three"])
def test_realness_is_the_discriminators_with_the_class_of_each_image(classes: str) -> None:
    options = ("model.labels=10", f"model.discriminator.classes={classes}")
    model, config = build("vaegan3", *options), tiny("vaegan3", *options).model
    discriminator = build_discriminator(config, SHAPE, 0).eval().requires_grad_(False)
    judges, pixels, labels = Judges(realness=discriminator), draw_pixels(4), torch.arange(4)
    found = compute_anomaly_scores(["realness"], model, pixels, judges, labels)["realness"]
    expected = -realness(discriminator(to_float(pixels), labels=labels).scores)
    torch.testing.assert_close(found, expected.double())
    assert not torch.allclose(
        found, compute_anomaly_scores(["realness"], model, pixels, judges, labels + 4)["realness"]
    )
    assert compute_anomaly_maps("realness", model, pixels, judges, labels).any()
    threes = torch.full((4,), 3)
    of_one, of_each = (compute_anomaly_scores(["realness"], model, pixels, judges, each) for each in (3, threes))
    assert torch.equal(of_one["realness"], of_each["realness"])


def test_simple_images_have_fewer_bits() -> None:
    noise = draw_pixels(1, (3, 32, 32))
    simple = torch.full_like(noise, 100)
    simple_bits, bits = count_png_bits(torch.cat([simple, noise])).tolist()
    assert simple_bits < 2000 and bits > 8 * noise.numel(), "noise cannot be compressed"


def test_a_pixelcnn_has_its_own_density_of_codes() -> None:
    model, pixels = build("pixelcnn", "model.labels=null"), draw_pixels(3)
    found = compute_anomaly_scores(["code"], model, pixels)["code"]
    torch.testing.assert_close(found, model.prior_nll(model.encode_indices(to_float(pixels))).double())


def test_what_a_family_cannot_have_is_one_line() -> None:
    pixels = draw_pixels(2)
    ae, vqvae = build("ae"), VQVAE(image_shape=SHAPE, width=8)
    for model in (
        ae,
        vqvae,
        build("vae", "model.likelihood=bernoulli", "model.labels=null", "model.learned_scale=false"),
    ):
        for name in ("elbo", "iwae", "elbo_complexity"):
            with pytest.raises(UserError, match="has no likelihood of 8-bit images; use pixels"):
                compute_anomaly_scores([name], model, pixels)
        assert compute_anomaly_scores(["pixels"], model, pixels)["pixels"].shape == (2,)
    with pytest.raises(UserError, match="codes of a VQVAE have no density"):
        compute_anomaly_scores(["code"], vqvae, pixels)
    with pytest.raises(UserError, match="by their class alone"):
        compute_anomaly_scores(["code"], PixelCNN(image_shape=SHAPE, autoencoder=vqvae.config, labels=3), pixels)
    with pytest.raises(UserError, match="a flow has no density of codes to read; use the run of its autoencoder"):
        compute_anomaly_scores(["code"], build("flow", "model.labels=null"), pixels)
    with pytest.raises(UserError, match="codes of 2,112 dimensions, and a density is fitted to 2,048 at most"):
        compute_anomaly_scores(["code"], build("vae", "model.latent_size=2112"), pixels)
    with pytest.raises(UserError, match=r"judges\.lpips is missing"):
        compute_anomaly_scores(["lpips"], ae, pixels)
    with pytest.raises(UserError, match="no such score; allowed: elbo, iwae"):
        compute_anomaly_scores(["elbow"], ae, pixels)
    for compute in (partial(compute_anomaly_scores, ["pixels"]), partial(compute_anomaly_maps, "pixels")):
        with pytest.raises(UserError, match=r"pixels: torch\.float32; scores are of 8-bit images, so give uint8"):
            compute(ae, to_float(pixels))


def test_a_discriminator_may_be_any_module() -> None:
    """What a score needs beside the model is handed over, so that it may come from elsewhere."""

    class Mean(nn.Module):
        def forward(self, images: Tensor, labels: Tensor | None = None) -> object:
            return type("Output", (), {"scores": images.mean((1, 2, 3))[:, None]})

    pixels = draw_pixels(3)
    found = compute_anomaly_scores(["realness"], build("ae"), pixels, Judges(realness=Mean()))["realness"]
    torch.testing.assert_close(found, -to_float(pixels).mean((1, 2, 3)).double())
    assert POSTERIOR_DRAWS >= 8
