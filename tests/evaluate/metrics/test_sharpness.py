import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from vaegan.evaluate.metrics.pixels import ROUNDING_VARIANCE
from vaegan.evaluate.metrics.sharpness import (
    Statistics,
    band_frequencies,
    band_index,
    band_means,
    coherence,
    compute_image_moments,
    compute_statistics,
    kurtosis,
    spectrum,
)
from vaegan.images import to_float
from vaegan.randomness import draw_normal

from ..distortions import Distortion, add_checkerboard, add_noise, blur, evaluate, oversharpen

METRICS = ("laplacian_gap", "spectrum_error", "kurtosis_gap")


def measure_statistics(images: Tensor, batch: int = 1000) -> Statistics:
    """Return the statistics of images (N, C, S, S), whose moments are computed in batches."""
    return compute_statistics(
        torch.cat([compute_image_moments(part, spectrum(part)) for part in images.split(batch)]).mean(0)
    )


def test_identical_images_have_no_gap_and_full_coherence(sets: dict[str, Tensor]) -> None:
    for pixels in sets.values():
        evaluation = evaluate(pixels, lambda images: images)
        metrics = dict(evaluation.metrics)
        assert metrics.pop("reconstruction/coherence") == pytest.approx(1, abs=1e-9)
        assert set(metrics) == {f"{kind}/{name}" for kind in ("reconstruction", "sample") for name in METRICS}
        assert list(metrics.values()) == pytest.approx([0] * 6, abs=1e-9)
        bands = len(evaluation.curves["frequency"])
        assert {len(curve) for curve in evaluation.curves.values()} == {bands}


def test_flat_images_have_finite_metrics(photos: Tensor) -> None:
    gone = evaluate(photos, torch.zeros_like).metrics
    assert all(math.isfinite(value) for value in gone.values())
    assert gone["reconstruction/coherence"] == 0
    assert gone["reconstruction/spectrum_error"] > 5
    same = evaluate(torch.full_like(photos, 77), lambda images: images).metrics
    assert same.pop("reconstruction/coherence") == 1
    assert set(same.values()) == {0}


@pytest.mark.parametrize("size", [8, 16, 24, 256])
def test_bands_reach_from_the_mean_to_the_corner(size: int) -> None:
    index = band_index(size)
    counts = torch.bincount(index.flatten())[1:].tolist()
    assert index[0, 0] == 0
    assert index[size // 2, size // 2] == index.max() == len(counts) == len(band_frequencies(size))
    assert sum(counts) == size**2 - 1
    assert min(counts) > 0
    assert index[0, size // 2] == size // 2
    assert band_frequencies(size)[-1] == pytest.approx(0.5**0.5, abs=0.5 / size)


@pytest.mark.parametrize("size", [8, 32])
def test_white_noise_has_its_variance_in_every_band(size: int) -> None:
    power = measure_statistics(0.3 * draw_normal((4000 * 8 // size, 3, size, size), 0, "noise")).power
    assert power[1:-1].tolist() == pytest.approx([0.09] * (len(power) - 2), rel=0.1)  # the window takes off the mean


def test_a_checkerboard_is_in_the_corner_band() -> None:
    power = measure_statistics(add_checkerboard(torch.zeros(1, 1, 16, 16), 0.1)).power
    assert power.argmax() == len(power) - 1
    assert power[:8].sum() < 1e-6 * power[-1]


def test_the_window_keeps_the_edge_of_the_frame_out_of_the_high_bands() -> None:
    ramp = torch.linspace(-1, 1, 32, dtype=torch.float64).expand(1, 1, 32, 32) + 0.5
    power = measure_statistics(ramp).power
    (bare,) = band_means(torch.fft.fft2(ramp).abs().square())
    assert power[10:].sum() / power.sum() < 1e-5
    assert bare[10:].sum() / bare.sum() > 1e-3


def test_brightness_is_in_no_band(photos: Tensor) -> None:
    images = to_float(photos, torch.float64)
    assert torch.allclose(measure_statistics(images).power, measure_statistics(images + 3).power)


@pytest.mark.parametrize("contrast", [1.0, 0.01])
def test_statistics_are_the_textbooks(contrast: float, photos: Tensor) -> None:
    ramp = torch.linspace(0, 9, 32, dtype=torch.float64)
    images = contrast * (to_float(photos[:40], torch.float64) + ramp)
    result = measure_statistics(images, batch=7)
    x = images.numpy()
    curvature = (
        x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:] - 4 * x[..., 1:-1, 1:-1]
    )  # fmt: skip
    slope = np.concatenate([np.diff(x, axis=-1).ravel(), np.diff(x, axis=-2).ravel()])
    assert result.laplacian_variance == pytest.approx(curvature.var(), rel=1e-9)
    assert result.gradient_variance == pytest.approx(slope.var(), rel=1e-9)
    assert result.gradient_fourth_moment == pytest.approx(scipy.stats.moment(slope, 4), rel=1e-9)
    floor = 2 * ROUNDING_VARIANCE
    rough = slope + draw_normal((len(slope),), 0, "floor").double().numpy() * math.sqrt(floor)
    assert kurtosis(result) == pytest.approx(scipy.stats.kurtosis(rough, fisher=False), rel=0.02)


def test_sums_do_not_depend_on_the_batch(photos: Tensor) -> None:
    images = to_float(photos, torch.float64)
    assert measure_statistics(images, 7).power.tolist() == pytest.approx(
        measure_statistics(images).power.tolist(), rel=1e-12
    )


def test_kurtosis_of_noise_and_of_flat_images_is_3() -> None:
    assert kurtosis(measure_statistics(draw_normal((500, 1, 16, 16), 0, "noise"))) == pytest.approx(3, abs=0.05)
    assert kurtosis(measure_statistics(torch.zeros(2, 1, 16, 16))) == pytest.approx(3)


def test_coherence_is_lost_to_noise_as_predicted_and_indifferent_to_gain(photos: Tensor) -> None:
    real = to_float(photos, torch.float64)
    noise = 0.1 * draw_normal(tuple(real.shape), 0, "noise").double()
    x, y = spectrum(real), spectrum(real + noise)
    power, other = measure_statistics(real).power, measure_statistics(real + noise).power
    result = coherence(band_means((x.conj() * y).real).mean(0), power, other)
    assert result[:-1].tolist() == pytest.approx((power / (power + 0.01)).sqrt()[:-1].tolist(), abs=0.05)
    inverted = coherence(-9 * band_means((x.conj() * y).real).mean(0), power, 81 * other)
    assert torch.allclose(inverted, -result)


def controls(strength: float) -> dict[str, Distortion]:
    return {
        "noise": lambda images: add_noise(images, 0.15 * strength),
        "blur": lambda images: blur(images, 0.6),
        "checkerboard": lambda images: add_checkerboard(images, 0.05 * strength),
        "over-sharpening": lambda images: oversharpen(images, 1.0),
    }


@pytest.mark.parametrize("name", ["digits", "small photos", "photos"])
@pytest.mark.parametrize("control", controls(1))
def test_each_negative_control_is_caught(name: str, control: str, sets: dict[str, Tensor]) -> None:
    pixels = sets[name]
    half = len(pixels) // 2
    reference, others = pixels[:half], pixels[half:]
    chance = evaluate(reference, lambda _: to_float(others)).metrics  # other real images: what chance alone does
    distort = controls(2 if name == "digits" else 1)[control]
    result = evaluate(reference, distort).metrics
    caught = {metric for metric in METRICS if result[f"reconstruction/{metric}"] > 3 * chance[f"sample/{metric}"]}
    assert caught, (result, chance)
    as_samples = evaluate(reference, lambda _: distort(to_float(others))).metrics
    caught = {metric for metric in METRICS if as_samples[f"sample/{metric}"] > 2 * chance[f"sample/{metric}"]}
    assert caught, (as_samples, chance)


def test_the_sign_of_the_spectral_error_tells_blur_from_noise(photos: Tensor) -> None:
    for distort, sign in (
        (lambda x: blur(x, 0.7), -1),
        (lambda x: add_noise(x, 0.1), 1),
        (lambda x: add_checkerboard(x, 0.1), 1),
    ):
        curves = evaluate(photos, distort).curves
        for kind in ("reconstruction", "sample"):
            corner = curves[f"spectrum_error/{kind}"][-1]
            assert sign * corner > 1


def test_gaps_are_distances_whether_there_is_too_little_or_too_much(photos: Tensor) -> None:
    for distort in (lambda x: blur(x, 0.7), lambda x: oversharpen(x, 2.0), lambda x: add_noise(x, 0.1)):
        metrics = evaluate(photos, distort).metrics
        for kind in ("reconstruction", "sample"):
            assert metrics[f"{kind}/laplacian_gap"] > 1
            assert all(metrics[f"{kind}/{metric}"] >= 0 for metric in METRICS)


def test_noise_does_not_make_blurred_images_coherent(photos: Tensor) -> None:
    blurred = evaluate(photos, lambda images: blur(images, 1.0)).metrics
    mended = evaluate(photos, lambda images: add_noise(blur(images, 1.0), 0.03)).metrics
    assert mended["reconstruction/laplacian_gap"] < blurred["reconstruction/laplacian_gap"]
    assert mended["reconstruction/spectrum_error"] < blurred["reconstruction/spectrum_error"]
    assert mended["reconstruction/coherence"] < 0.6 * blurred["reconstruction/coherence"]
