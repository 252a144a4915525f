"""Uncertainty of pixels: closed forms of linear decoders, calibration of data that the model has made itself."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from vaegan.applications.uncertainty import (
    LEVELS,
    ObservationModel,
    PixelPrediction,
    calibrate_scale,
    check_can_be_uncertain,
    compute_calibration_error,
    compute_coverage,
    compute_mean_widths,
    draw_shared_noise,
    get_observation_model,
    predict_pixels,
)
from vaegan.errors import UserError
from vaegan.images import to_float, to_uint8
from vaegan.models import AE, VAE, VQVAE, Posterior
from vaegan.models.larsen import Larsen
from vaegan.randomness import draw_normal

SHAPE, SIZE, VALUES = (1, 8, 8), 6, 64
COUNT, DRAWS = 4000, 160
DISTRIBUTIONS = {"gaussian": scipy.stats.norm, "laplace": scipy.stats.laplace}


class LinearVAE(VAE):
    """x = W z + b + noise, z from N(0, I); q(z | x) is the true posterior, or else the prior itself."""

    def __init__(self, exact: bool = True, **settings: object) -> None:
        super().__init__(image_shape=SHAPE, latent_size=SIZE, network="mlp", width=8, **settings)
        self.double().eval()
        self.weight = 0.12 * draw_normal((VALUES, SIZE), 0, "decoder").double()
        self.bias = 0.1 * draw_normal((VALUES,), 0, "bias").double()
        variance = self.config.scale**2
        precision = self.weight.T @ self.weight / variance
        # A diagonal posterior is exact where the columns are orthogonal.
        eigenvalues, vectors = torch.linalg.eigh(precision)
        self.weight = self.weight @ vectors
        self.variances = 1 / (1 + eigenvalues) if exact else torch.ones(SIZE).double()
        self.gain = (self.weight * self.variances).T / variance if exact else torch.zeros(SIZE, VALUES).double()

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        mean = (images.flatten(1) - self.bias) @ self.gain.T
        return Posterior(mean, self.variances.log().expand_as(mean))

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        return (codes @ self.weight.T + self.bias).unflatten(1, SHAPE)

    def draw_images(self, count: int) -> Tensor:
        """Draw 8-bit images from the model."""
        noise = draw_normal((count, VALUES), 0, "observation").double()
        if self.config.likelihood == "laplace":
            noise = torch.from_numpy(scipy.stats.laplace.ppf(scipy.stats.norm.cdf(noise)))
        codes = draw_normal((count, SIZE), 0, "codes").double()
        return to_uint8(self._decode(codes, None) + self.config.scale * noise.unflatten(1, SHAPE))


def predict_images(model: LinearVAE, pixels: Tensor, draws: int) -> PixelPrediction:
    """Return the prediction with noise of its own for each image."""
    noise = [draw_normal((len(pixels), SIZE), 1, "posterior", draw) for draw in range(draws)]
    return predict_pixels(model, model.encode(to_float(pixels, torch.float64)), noise)


def cover(ratio: np.ndarray) -> np.ndarray:
    """Return the coverage of normal values by intervals of ``ratio`` times their standard deviation, at each level."""
    ends = scipy.stats.norm.ppf((1 + np.array(LEVELS)) / 2)
    return (2 * scipy.stats.norm.cdf(np.outer(ends, ratio)) - 1).mean(1)


def test_the_spread_of_a_linear_decoder_is_that_of_its_posterior() -> None:
    model = LinearVAE(scale=0.3)
    posterior = model.encode(to_float(model.draw_images(3), torch.float64))
    noise = math.sqrt(SIZE) * torch.cat([torch.eye(SIZE), -torch.eye(SIZE)]).double()  # of mean 0 and covariance I
    prediction = predict_pixels(model, posterior, noise)
    expected = (model.weight.square() @ model.variances).expand(3, -1)
    torch.testing.assert_close(prediction.spread.flatten(1), expected.sqrt())
    torch.testing.assert_close(prediction.total.flatten(1), (expected + 0.3**2).sqrt())
    torch.testing.assert_close(prediction.mean, model.decode(posterior.mean))
    many = predict_images(model, model.draw_images(3), 1000).spread.flatten(1)
    torch.testing.assert_close(many, expected.sqrt(), rtol=0.1, atol=0)


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_total_distribution_and_quantiles_are_scipys_mixture(likelihood: str) -> None:
    decoded = draw_normal((5, 2, *SHAPE), 0, "decoded").double()
    prediction = PixelPrediction(decoded, ObservationModel(likelihood, 0.2))
    parts = [DISTRIBUTIONS[likelihood](each.numpy(), 0.2) for each in decoded]
    values = draw_normal((2, *SHAPE), 0, "values").double()
    cdf = np.mean([part.cdf(values) for part in parts], 0)
    assert prediction.compute_cdf(values).numpy() == pytest.approx(cdf, abs=1e-12)
    variance = np.mean([part.var() + part.mean() ** 2 for part in parts], 0) - decoded.mean(0).numpy() ** 2
    assert prediction.total.square().numpy() == pytest.approx(variance)
    for probability in (0.02, 0.5, 0.95):
        quantile = prediction.compute_quantile(probability)
        reached = np.mean([part.cdf(quantile) for part in parts], 0)
        assert reached == pytest.approx(np.full(reached.shape, probability), abs=2e-3)
    alone = PixelPrediction(decoded[:1], ObservationModel(likelihood, 0.2))
    low, high = DISTRIBUTIONS[likelihood](scale=0.2).interval(0.9)
    assert alone.compute_width(0.9).numpy() == pytest.approx(np.full((2, *SHAPE), high - low))
    widths = prediction.compute_width(0.9).flatten(1)
    torch.testing.assert_close(compute_mean_widths(prediction, 0.9), widths.mean(1))
    enlarged = PixelPrediction(decoded.repeat(1, 1, 1, 8, 8), prediction.noise)
    torch.testing.assert_close(compute_mean_widths(enlarged, 0.9), widths.mean(1), rtol=0.01, atol=0)


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_the_transform_of_a_pixel_is_its_probability_and_all_256_fill_the_unit_interval(likelihood: str) -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(256, 1, 1, 1)
    decoded = torch.tensor([-0.9, 0.2, 0.8]).double().reshape(3, 1, 1, 1, 1).expand(3, 256, 1, 1, 1)
    lower, upper = PixelPrediction(decoded, ObservationModel(likelihood, 0.3)).compute_pit(pixels)
    assert lower[0] == 0 and upper[-1] == 1
    torch.testing.assert_close(lower[1:], upper[:-1])
    assert (upper > lower).all()
    coverage = compute_coverage(lower, upper)
    probabilities = (upper - lower).flatten()[:, None]
    torch.testing.assert_close((probabilities * coverage).sum(0), torch.tensor(LEVELS).double())


def test_a_transform_that_is_a_point_counts_whole_or_not() -> None:
    """It is that of a pixel between two draws that lie many scales apart."""
    points = torch.tensor([[0.5], [0.0], [1.0]]).double()
    assert compute_coverage(points, points, [0.1, 0.9]).tolist() == [[1, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_what_the_model_has_made_is_uniform_and_calibrated(likelihood: str) -> None:
    """The images are drawn from the very distribution that the encoder, which ignores them, gives."""
    model = LinearVAE(exact=False, likelihood=likelihood, scale=0.2)
    pixels = model.draw_images(COUNT)
    lower, upper = predict_images(model, pixels, DRAWS).compute_pit(pixels)
    draws = torch.rand(len(pixels), generator=torch.Generator().manual_seed(0)).double()
    for value in (0, 27, 63):  # the values of one image depend on each other, those of the images do not
        ends = lower.flatten(1)[:, value], upper.flatten(1)[:, value]
        assert scipy.stats.kstest(torch.lerp(*ends, draws), "uniform").pvalue > 0.01
    coverage = compute_coverage(lower, upper).mean(0)
    assert compute_calibration_error(coverage).item() < 0.006


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wrong_scale_has_the_error_of_the_closed_form(factor: float) -> None:
    true = LinearVAE(exact=False, scale=0.2)
    wrong = LinearVAE(exact=False, scale=0.2 * factor)
    pixels = true.draw_images(COUNT)
    coverage = compute_coverage(*predict_images(wrong, pixels, DRAWS).compute_pit(pixels)).mean(0)
    of_codes = true.weight.square().sum(1)
    ratio = ((of_codes + (0.2 * factor) ** 2) / (of_codes + 0.2**2)).sqrt().numpy()
    expected = cover(ratio)
    assert coverage.numpy() == pytest.approx(expected, abs=0.008)
    error = np.abs(expected - LEVELS).mean()
    assert error > 0.05 and compute_calibration_error(coverage).item() == pytest.approx(error, abs=0.005)


def test_the_posterior_has_seen_the_pixels_which_the_closed_form_says() -> None:
    """Of h, the leverage of a value, the residual's variance is s^2 (1 - h), the predicted one s^2 (1 + h)."""
    model = LinearVAE(scale=0.2)
    pixels = model.draw_images(COUNT)
    coverage = compute_coverage(*predict_images(model, pixels, DRAWS).compute_pit(pixels)).mean(0)
    leverage = model.weight.square() @ model.variances / 0.2**2
    ratio = ((1 + leverage) / (1 - leverage)).sqrt().numpy()
    expected = cover(ratio)
    assert coverage.numpy() == pytest.approx(expected, abs=0.008)
    assert coverage[9] > LEVELS[9] + 0.02


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_the_scale_that_made_the_images_is_found(likelihood: str) -> None:
    decoded = 0.2 * draw_normal((4, 300, *SHAPE), 0, "decoded").double()
    uniform = scipy.stats.norm.cdf(draw_normal((300, *SHAPE), 0, "observation"))
    pixels = to_uint8(decoded[0] + torch.from_numpy(DISTRIBUTIONS[likelihood](scale=0.15).ppf(uniform)))
    scale = calibrate_scale(pixels, PixelPrediction(decoded, ObservationModel(likelihood, 0.7)))
    assert scale == pytest.approx(0.15, rel=0.03)


def test_an_image_is_predicted_alike_whatever_the_others() -> None:
    model = LinearVAE(scale=0.3)
    images = to_float(model.draw_images(5), torch.float64)
    noise = draw_shared_noise(SIZE, 4, seed=3)
    assert torch.equal(noise[1], draw_shared_noise(SIZE, 2, seed=3)[1])
    together = predict_pixels(model, model.encode(images), noise).decoded
    alone = predict_pixels(model, model.encode(images[3:4]), noise).decoded
    torch.testing.assert_close(together[:, 3:4], alone, rtol=0, atol=1e-12)


def test_far_outside_is_in_no_interval() -> None:
    pixels = torch.tensor([255, 0], dtype=torch.uint8).reshape(2, 1, 1, 1)
    prediction = PixelPrediction(torch.zeros(1, 2, 1, 1, 1), ObservationModel("gaussian", 1e-3))
    assert not compute_coverage(*prediction.compute_pit(pixels)).any()
    with pytest.raises(UserError, match=r"pixels: torch\.float32; the transform is of 8-bit images, so give uint8"):
        prediction.compute_pit(to_float(pixels))


@pytest.mark.parametrize(
    ("build", "settings", "noise", "can"),
    [
        (VAE, {"likelihood": "laplace", "scale": 0.4}, ObservationModel("laplace", 0.4), True),
        (VAE, {"likelihood": "bernoulli"}, None, True),
        (Larsen, {}, None, True),
        (AE, {}, None, False),
    ],
)
def test_a_family_tells_what_it_has(
    build: Callable[..., VAE], settings: dict, noise: ObservationModel | None, can: bool
) -> None:
    model = build(image_shape=SHAPE, latent_size=4, width=8, **settings).eval()
    posterior = model.encode(torch.zeros(2, *SHAPE))
    assert get_observation_model(model) == noise
    if not can:
        with pytest.raises(UserError, match="cannot tell how sure it is; use a run of the family vae or vaegan"):
            check_can_be_uncertain(model, posterior)
        return
    check_can_be_uncertain(model, posterior)
    prediction = predict_pixels(model, posterior, draw_shared_noise(4, 3, 0))
    if noise is None:
        assert prediction.spread.shape == (2, *SHAPE) and (prediction.spread > 0).any()
        with pytest.raises(UserError, match="no scale of p"):
            _ = prediction.total


def test_codes_of_a_codebook_are_points() -> None:
    model = VQVAE(image_shape=SHAPE, width=8).eval()
    with pytest.raises(UserError, match="is a point"):
        check_can_be_uncertain(model, model.encode(torch.zeros(2, *SHAPE)))


def test_a_learned_scale_is_the_one_that_counts() -> None:
    model = VAE(image_shape=SHAPE, width=8, scale=0.5, learned_scale=True)
    torch.nn.init.constant_(model.scale.logarithm, math.log(0.125))
    assert get_observation_model(model) == ObservationModel("gaussian", 0.125)


def test_pixels_may_lie_on_another_device_than_the_prediction() -> None:
    with FakeTensorMode():
        decoded = torch.empty(3, 2, *SHAPE, device="cuda")
        prediction = PixelPrediction(decoded, ObservationModel("gaussian", 0.1))
        lower, upper = prediction.compute_pit(torch.empty(2, *SHAPE, dtype=torch.uint8))
        assert lower.device.type == upper.device.type == "cuda"
