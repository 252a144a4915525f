import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.evaluate.metrics.pixels import MAX_PSNR_DB, ms_ssim, ms_ssim_weights, psnr, ssim, ssim_sigma, ssim_window
from vaegan.images import to_float
from vaegan.randomness import draw_normal

from ..distortions import add_noise, blur, evaluate


def test_identical_images_have_the_best_finite_values(sets: dict[str, Tensor]) -> None:
    for pixels in sets.values():
        metrics = evaluate(pixels, lambda images: images, "psnr", "ssim").metrics
        assert metrics["reconstruction/psnr"] == pytest.approx(MAX_PSNR_DB)
        assert metrics["reconstruction/ssim"] == pytest.approx(1, abs=1e-12)


def test_psnr_is_that_of_8_bit_levels_and_the_mean_over_images() -> None:
    pixels = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
    shift = torch.tensor([2.0, 5.0])[:, None, None, None]
    metrics = evaluate(pixels, lambda images: images + shift / 127.5, "psnr").metrics
    expected = [10 * math.log10(255**2 / levels**2) for levels in (2, 5)]
    assert metrics["reconstruction/psnr"] == pytest.approx(sum(expected) / 2, rel=1e-6)


def test_no_metric_tells_images_apart_that_one_file_would_hold(photos: Tensor) -> None:
    close = evaluate(photos, lambda images: images + 0.49 / 127.5, "psnr").metrics
    outside = evaluate(photos, lambda images: torch.where(images == images.amax(), 1.5, images), "psnr").metrics
    assert close["reconstruction/psnr"] == pytest.approx(MAX_PSNR_DB)
    assert outside["reconstruction/psnr"] > 35  # clamped: not the distance to 1.5


def formula(x: np.ndarray, y: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean over whole windows of an image's SSIM, and of its contrast times structure."""
    side = ssim_window(sigma)
    places = np.arange(side) - side // 2
    weights = np.exp(-(places**2) / (2 * sigma**2))
    weights = np.outer(weights, weights) / weights.sum() ** 2

    def mean(values: np.ndarray) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(values, (side, side), axis=(-2, -1))
        return np.einsum("...ij,ij->...", windows, weights)

    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    covariance = mean(x * y) - mean(x) * mean(y)
    variances = mean(x * x) - mean(x) ** 2 + mean(y * y) - mean(y) ** 2
    luminance = (2 * mean(x) * mean(y) + c1) / (mean(x) ** 2 + mean(y) ** 2 + c1)
    contrast = (2 * covariance + c2) / (variances + c2)
    return (luminance * contrast).mean((1, 2, 3)), contrast.mean((1, 2, 3))


@pytest.mark.parametrize("size", [8, 11, 16, 24])
def test_ssim_is_the_formula_of_the_paper_over_whole_windows(size: int, photos: Tensor) -> None:
    images = to_float(photos[:3, :, :size, :size], torch.float64)
    others = add_noise(blur(images, 0.7), 0.1)
    assert ssim_window(ssim_sigma(size)) <= size
    expected, _ = formula(images.numpy(), others.numpy(), ssim_sigma(size))
    assert ssim(images, others).numpy() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("size", "scales"), [(8, 1), (16, 1), (24, 2), (32, 2), (48, 3), (96, 4), (176, 5), (184, 5)])
def test_ms_ssim_is_the_formula_of_the_paper(size: int, scales: int) -> None:
    images = blur(draw_normal((2, 1, size, size), 0, "images").double(), 1.5)
    others = add_noise(blur(images, 0.7), 0.05)
    assert len(ms_ssim_weights(size)) == scales and sum(ms_ssim_weights(size)) == pytest.approx(1)
    if scales == 5:
        assert ms_ssim_weights(size) == pytest.approx([0.0448, 0.2856, 0.3001, 0.2363, 0.1333], abs=1e-4)
    x, y, expected = images, others, np.ones(2)
    for scale, weight in enumerate(ms_ssim_weights(size), start=1):
        whole, contrast = formula(x.numpy(), y.numpy(), 1.5 if size > 8 else 0.75)
        expected = expected * (whole if scale == scales else contrast) ** weight
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    assert ms_ssim(images, others).numpy() == pytest.approx(expected, abs=1e-6)
    assert ms_ssim(images, images).numpy() == pytest.approx(1)


def test_the_window_is_the_standard_one_where_it_fits_and_recorded(sets: dict[str, Tensor]) -> None:
    windows = {name: evaluate(pixels, noisy_a_little, "ssim").protocol["ssim"] for name, pixels in sets.items()}
    assert windows["photos"] == windows["small photos"] == {"window": 11, "sigma": 1.5}
    assert windows["digits"] == {"window": 7, "sigma": 0.75}


def test_flat_images_are_finite() -> None:
    flat = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
    assert ssim(flat, flat).tolist() == [1, 1]
    assert psnr(flat, flat).tolist() == pytest.approx([MAX_PSNR_DB] * 2)


def noisy_a_little(images: Tensor) -> Tensor:
    return add_noise(images, 0.1)
