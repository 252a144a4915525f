import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from vaegan.config.models import GridAEConfig
from vaegan.data import Images
from vaegan.density_fitting import fit_density_to_images
from vaegan.errors import UserError
from vaegan.images import to_float
from vaegan.models import Autoencoder, build_model
from vaegan.models.density import fit_density
from vaegan.randomness import draw_normal

from ..tiny import VECTORS, tiny

COUNT = 300


def make_images() -> Images:
    """Return every second one of some images."""
    pixels = torch.randint(0, 256, (2 * COUNT, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    return Images(pixels, torch.arange(COUNT) * 2, None, ())


def build(name: str) -> Autoencoder:
    return build_model(tiny(name).model, (1, 8, 8), 0).double().eval().requires_grad_(False)


def draw_posterior_codes(model: Autoencoder, seed: int) -> Tensor:
    """Draw once from the posterior of each image, by hand."""
    posterior = model.encode(to_float(make_images().store[::2], torch.float64))
    noise = torch.stack([draw_normal((4,), seed, "density", place) for place in range(COUNT)]).double()
    return posterior.mean + posterior.variance.sqrt() * noise


@pytest.mark.parametrize("name", VECTORS)
def test_a_density_is_fitted_to_one_draw_of_each_training_image(name: str) -> None:
    model = build(name)
    given = draw_posterior_codes(model, 5).numpy()
    for size in (64, 7):
        density = fit_density_to_images("gaussian", model, make_images(), 5, size)
        np.testing.assert_allclose(density.means[0], given.mean(0), rtol=1e-9)
        np.testing.assert_allclose(density.covariances[0], np.cov(given, rowvar=False, bias=True), rtol=1e-9)
        mixture, expected = (
            fit_density_to_images("gmm:3", model, make_images(), 5, size),
            fit_density("gmm:3", draw_posterior_codes(model, 5), 5),
        )
        torch.testing.assert_close(mixture.covariances, expected.covariances, rtol=1e-6, atol=1e-9)
    assert density.code_count == COUNT
    if name == "ae":
        torch.testing.assert_close(
            draw_posterior_codes(model, 5), model.encode(to_float(make_images().store[::2], torch.float64)).mean
        )


def test_of_an_encoder_that_says_nothing_the_density_is_the_prior() -> None:
    model = build("vae")
    model.encoder.head.weight.zero_()
    model.encoder.head.bias.zero_()
    density = fit_density_to_images("gaussian", model, make_images(), 0, 64)
    assert density.means.abs().max() < 4 / COUNT**0.5, "its posterior means are all 0, and without variance"
    assert (density.covariances[0] - torch.eye(4)).abs().max() < 4 * (2 / COUNT) ** 0.5


def test_without_training_images_there_is_no_density() -> None:
    images = dataclasses.replace(make_images(), indices=torch.arange(0))
    with pytest.raises(UserError, match="density: gaussian: 0 training images are too few"):
        fit_density_to_images("gaussian", build("vae"), images, 5, 64)


def test_the_progress_is_told() -> None:
    steps: list[tuple[int, int]] = []
    fit_density_to_images("gaussian", build("ae"), make_images(), 0, 128, lambda *step: steps.append(step))
    assert steps == [(128, COUNT), (256, COUNT), (COUNT, COUNT)]


def test_large_codes_are_refused_before_an_image_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"code": "grid", "width": 8, "downsampling": 2, "code_channels": 129}
    model = build_model(GridAEConfig(**settings), (1, 8, 8), 0)
    monkeypatch.setattr(model, "encode", None)
    with pytest.raises(UserError) as caught:
        fit_density_to_images("gaussian", model, make_images(), 5, 64)
    problem = "density: gaussian: a full covariance of codes of 2,064 dimensions is too large, 2,048 at most"
    assert str(caught.value) == f"{problem}; leave the density out, or train a model with a smaller code"
