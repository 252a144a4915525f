"""Posteriors of many images are those of single ones, and heat maps keep the order of values."""

import numpy as np
import pytest
import torch

from vaegan.applications import encoding
from vaegan.applications.encoding import check_continuous_codes, encode_images
from vaegan.applications.heat_maps import draw_heat_maps
from vaegan.data import Images
from vaegan.errors import UserError
from vaegan.images import to_float
from vaegan.models import VAE, VQVAE
from vaegan.randomness import draw_normal


def test_batches_give_the_posterior_of_each_image_with_its_class(monkeypatch) -> None:
    monkeypatch.setattr(encoding, "BATCH_IMAGES", 3)
    pixels = (draw_normal((8, 1, 8, 8), 0, "x") * 60 + 128).clamp(0, 255).to(torch.uint8)
    images = Images(pixels, torch.arange(8), torch.arange(8) % 2, ("a", "b"))
    model = VAE(image_shape=(1, 8, 8), width=8, latent_size=3, labels=2).double().eval()
    done = []
    posterior = encode_images(model, images, torch.tensor([7, 0, 3, 5]), lambda *step: done.append(step))
    for row, position in enumerate((7, 0, 3, 5)):
        alone = model.encode(to_float(pixels[position, None], torch.float64), position % 2)
        torch.testing.assert_close(posterior.mean[row, None], alone.mean, rtol=0, atol=1e-12)
        torch.testing.assert_close(posterior.log_variance[row, None], alone.log_variance, rtol=0, atol=1e-12)
    assert done == [(3, 4), (4, 4)] and len(encode_images(model, images).mean) == 8


def test_no_images_have_no_codes() -> None:
    images = Images(lambda index: np.zeros((1, 8, 8), np.uint8), torch.arange(8), None, ())
    posterior = encode_images(VAE(image_shape=(1, 8, 8), width=8, latent_size=3), images, torch.arange(0))
    assert posterior.mean.shape == posterior.log_variance.shape == (0, 3)


def test_entries_of_a_codebook_are_refused() -> None:
    with pytest.raises(UserError, match="entries of a codebook"):
        check_continuous_codes(VQVAE(image_shape=(1, 8, 8), width=8, residual_width=4, depth=1, codes=8, code_size=4))


def test_heat_maps_are_lighter_where_values_are_larger() -> None:
    maps = draw_heat_maps(torch.linspace(0, 2, 12).reshape(1, 3, 4))
    assert maps.shape == (1, 3, 3, 4) and maps.dtype == torch.uint8
    lightness = maps.float().mean(1).flatten()
    assert (lightness.diff() > 0).all() and lightness[0] < 3
    assert torch.equal(draw_heat_maps(torch.full((1, 1, 1), 5.0), largest=1), maps[:, :, -1:, -1:])
    assert not draw_heat_maps(torch.zeros(1, 2, 2))[:, 0].any()
