import math

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from vaegan.config.models import VAEConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.images import to_float
from vaegan.losses.discrete_likelihood import gaussian_log_interval, laplace_log_interval, log_probability
from vaegan.losses.elbo import NLL_WITH_SCALE
from vaegan.models import VAE
from vaegan.randomness import draw_normal

from ..distortions import evaluate, to_split

LEVELS = torch.arange(256, dtype=torch.uint8)


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
@pytest.mark.parametrize("scale", [1e-3, 0.02, 0.2, 5.0])
@pytest.mark.parametrize("mean", [-1.4, -1.0, -0.3, 0.0, 1 / 255, 0.7, 1.0, 1.4])
def test_the_256_probabilities_add_up_to_one(likelihood: str, scale: float, mean: float) -> None:
    log = log_probability(LEVELS, torch.full((256,), mean, dtype=torch.float64), likelihood, scale)
    assert log.logsumexp(0).item() == pytest.approx(0, abs=1e-10)
    assert log.isfinite().all()


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_it_agrees_with_scipy(likelihood: str) -> None:
    distribution = {"gaussian": scipy.stats.norm, "laplace": scipy.stats.laplace}[likelihood]
    mean, scale = 0.13, 0.3
    log = log_probability(LEVELS, torch.full((256,), mean), likelihood, scale)
    edges = (np.arange(257) - 0.5) / 127.5 - 1
    edges[0], edges[-1] = -np.inf, np.inf
    expected = np.log(np.diff(distribution.cdf(edges, loc=np.float32(mean), scale=scale)))
    assert log.numpy() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("place", [-40.0, -3.0, -1e-3, 0.0, 1e-9, 2.0, 39.9])
@pytest.mark.parametrize("width", [1e-4, 0.1])
def test_intervals_keep_their_digits_in_the_tails(place: float, width: float) -> None:
    lower, upper = torch.tensor(place, dtype=torch.float64), torch.tensor(place + width, dtype=torch.float64)
    with mpmath.workdps(1200):
        a, b = mpmath.mpf(lower.item()), mpmath.mpf(upper.item())
        gaussian = float(mpmath.log((mpmath.erfc(a / mpmath.sqrt(2)) - mpmath.erfc(b / mpmath.sqrt(2))) / 2))
        laplace = [mpmath.exp(-abs(x)) / 2 if x < 0 else 1 - mpmath.exp(-abs(x)) / 2 for x in (a, b)]
        laplace_log = float(mpmath.log(laplace[1] - laplace[0]))
    assert gaussian_log_interval(lower, upper).item() == pytest.approx(gaussian, rel=1e-9)
    assert laplace_log_interval(lower, upper).item() == pytest.approx(laplace_log, rel=1e-9)


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_it_is_the_density_that_was_trained_times_the_width_of_a_level(likelihood: str) -> None:
    pixels = torch.randint(20, 230, (5, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    mean = draw_normal((5, 3, 8, 8), 0, "mean").double() * 0.3
    density = -NLL_WITH_SCALE[likelihood](pixels.double() / 127.5 - 1, mean, 0.2) / 192
    discrete = log_probability(pixels, mean, likelihood, 0.2).flatten(1).mean(1)
    assert discrete.numpy() == pytest.approx((density + math.log(2 / 255)).numpy(), abs=2e-3)


def exact_log_likelihood(pixels: Tensor, scale: float) -> float:
    """Mean log P(image) where each pixel is its own code, z from N(0, 1) and x from N(z, scale^2), rounded."""
    edges = (np.arange(257) - 0.5) / 127.5 - 1
    edges[0], edges[-1] = -np.inf, np.inf
    levels = np.log(np.diff(scipy.stats.norm.cdf(edges, scale=math.sqrt(1 + scale**2))))
    return float(levels[pixels.numpy()].reshape(len(pixels), -1).sum(1).mean())


def test_the_bound_is_met_by_the_true_posterior_and_by_no_other(photos: Tensor) -> None:
    scale = 0.2
    pixels = photos[:, :, :8, :8].clamp(1, 254)  # where the open intervals do not enter
    variance = scale**2 / (1 + scale**2)
    exact = exact_log_likelihood(pixels, scale)

    def bound(gain: float, variance: float) -> float:
        settings = {"log_variance": math.log(variance), "scale": scale}
        return evaluate(pixels, lambda images: gain * images, "elbo", **settings).metrics["elbo"]

    assert bound(1 / (1 + scale**2), variance) == pytest.approx(exact, abs=2.5)  # 0.9 from one draw
    for gain, wrong in ((1.0, 1.5 * variance), (0.8, variance), (1 / (1 + scale**2), 2 * variance)):
        assert bound(gain, wrong) < exact - 5


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_the_bound_is_below_the_importance_sampled_likelihood(likelihood: str, digits: Tensor) -> None:
    config = VAEConfig(network="mlp", width=16, latent_size=2, likelihood=likelihood, scale=0.5)
    model = VAE(config, (1, 8, 8), 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)  # so that codes matter
    pixels = digits[:1]
    bounds = [
        evaluate_model(model, to_split(pixels), EvaluateConfig(metrics=("elbo",)), seed=seed).metrics["elbo"]
        for seed in range(200)
    ]
    with torch.no_grad():
        draws = 20_000
        posterior = model.encode((pixels / 127.5 - 1).expand(draws, 1, 8, 8))
        noise = draw_normal((draws, 2), 0, "importance")
        codes = posterior.sample(noise)
        log_p = log_probability(pixels.expand(draws, 1, 8, 8), model.decode(codes), likelihood, 0.5).flatten(1).sum(1)
        log_p = log_p - 0.5 * codes.double().square().sum(1)
        log_q = -0.5 * (noise.double().square() + posterior.log_variance.double()).sum(1)
        weights = log_p - log_q
    estimate = (weights.logsumexp(0) - math.log(draws)).item()
    mean, error = np.mean(bounds), np.std(bounds) / math.sqrt(len(bounds))
    assert mean == pytest.approx(weights.mean().item(), abs=5 * error)  # the same bound by other means
    assert mean + 3 * error < estimate


def test_bits_per_dim_is_the_code_length_of_8_bit_images(digits: Tensor) -> None:
    metrics = evaluate(digits, lambda images: images, "elbo", scale=1e4).metrics
    assert metrics["bits_per_dim"] == pytest.approx(-metrics["elbo"] / (64 * math.log(2)))
    chance = torch.randint(0, 256, (50, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    result = evaluate(chance, lambda images: 0.5 * images, "elbo", log_variance=-1.0, scale=0.4).metrics["bits_per_dim"]
    assert 8 < result < 9.5  # uniform noise has 8 bits, and no code is shorter


def test_the_rate_is_the_divergence_in_bits(digits: Tensor) -> None:
    result = evaluate(digits, lambda images: images, "elbo", log_variance=-1.0).metrics["rate"]
    squares = to_float(digits, torch.float64).square().flatten(1).sum(1).mean().item()
    assert result == pytest.approx(0.5 * (squares + 64 * (math.exp(-1.0) - 1 + 1)) / math.log(2), rel=1e-6)


def test_each_images_noise_is_its_own_whatever_the_batch(digits: Tensor) -> None:
    model = VAE(VAEConfig(network="mlp", width=16, latent_size=8), (1, 8, 8), 0).double()
    both = [
        evaluate_model(
            model, to_split(digits[:30]), EvaluateConfig(metrics=("elbo",), batch_size=size), seed=seed
        ).metrics["elbo"]
        for size, seed in ((7, 0), (30, 0), (30, 1))
    ]  # fmt: skip
    assert both[0] == pytest.approx(both[1], rel=1e-12)
    assert both[1] != pytest.approx(both[2], rel=1e-9)


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_a_learned_scale_is_the_one_that_counts(likelihood: str, digits: Tensor) -> None:
    """As if the model had been given it, wherever it started from; and the protocol says which it is."""
    sizes = {"network": "mlp", "width": 16, "latent_size": 4, "likelihood": likelihood}
    model = VAE(VAEConfig(**sizes, scale=0.9, learned_scale=True), (1, 8, 8), 0).double()
    with torch.no_grad():
        model.scale.logarithm.fill_(math.log(0.3))
    scale = model.scale().item()
    settings = EvaluateConfig(metrics=("elbo", "iwae"), importance_samples=3)
    expected_model = VAE(VAEConfig(**sizes, scale=scale), (1, 8, 8), 0).double()
    result, expected = (
        evaluate_model(each, to_split(digits[:20]), settings, seed=0) for each in (model, expected_model)
    )
    assert result.metrics == expected.metrics
    assert result.metrics != evaluate_model(
        VAE(VAEConfig(**sizes, scale=0.9), (1, 8, 8), 0).double(), to_split(digits[:20]), settings, seed=0
    ).metrics  # fmt: skip
    for metric in ("elbo", "iwae"):
        assert scale == pytest.approx(0.3)
        assert result.protocol[metric] == expected.protocol[metric] | {"learned_scale": True}
        assert result.protocol[metric]["scale"] == scale


def test_a_bernoulli_has_a_rate_and_no_bound(digits: Tensor) -> None:
    sizes = {"network": "mlp", "width": 16, "latent_size": 4}
    settings = EvaluateConfig(metrics=("elbo", "iwae"), importance_samples=3)
    both = [
        evaluate_model(VAE(VAEConfig(**sizes, likelihood=likelihood), (1, 8, 8), 0), to_split(digits[:20]), settings,
                 seed=0)
        for likelihood in ("bernoulli", "gaussian")
    ]  # fmt: skip
    assert both[0].metrics == {"rate": both[1].metrics["rate"]}
    assert both[0].protocol["elbo"] == {"likelihood": None} and "iwae" not in both[0].protocol
