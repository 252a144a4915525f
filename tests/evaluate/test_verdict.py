import pytest
import torch
from torch import Tensor

from vaegan.evaluate.runner import Evaluation
from vaegan.evaluate.sharpness import band_index
from vaegan.evaluate.verdict import (
    noise_coherence,
    noise_standard_error,
    sharper_reconstructions,
    sharper_samples,
)
from vaegan.images import to_float
from vaegan.randomness import normal

from .controls import Distortion, blur, checkered, judge, noisy, oversharpened

SETS = ["digits", "small photos", "photos"]


def soft(images: Tensor) -> Tensor:
    """What a plain VAE does."""
    return blur(images, 0.8)


def filled(missing: list[float], seed: int = 0) -> Distortion:
    """Soft images and noise that has the missing power of each band: the noise that a spectrum cannot tell."""

    def distort(images: Tensor) -> Tensor:
        size = images.shape[-1]
        gain = torch.tensor([0.0, *missing]).clamp_min(0).sqrt()[band_index(size)]
        noise = normal(tuple(images.shape), seed, "fill")
        return soft(images) + torch.fft.ifft2(torch.fft.fft2(noise) * gain).real

    return distort


@pytest.fixture
def baselines(sets: dict[str, Tensor]) -> dict[str, Evaluation]:
    return {name: judge(pixels, soft) for name, pixels in sets.items()}


@pytest.mark.parametrize("name", SETS)
def test_less_blur_is_sharper(name: str, sets: dict[str, Tensor], baselines: dict[str, Evaluation]) -> None:
    for distort in (lambda images: images, lambda images: blur(images, 0.5), lambda images: noisy(images, 0.02)):
        verdict = sharper_reconstructions(judge(sets[name], distort), baselines[name])
        assert verdict.sharper is True, verdict.reason


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("seed", range(5))
def test_noise_of_the_missing_spectrum_is_not_sharper(
    name: str, seed: int, sets: dict[str, Tensor], baselines: dict[str, Evaluation]
) -> None:
    baseline = baselines[name]
    curves = baseline.curves
    missing = [a - b for a, b in zip(curves["power/real"], curves["power/reconstruction"], strict=True)]
    candidate = judge(sets[name], filled(missing, seed))
    assert candidate.metrics["reconstruction/spectrum_error"] < 0.5 * baseline.metrics["reconstruction/spectrum_error"]
    verdict = sharper_reconstructions(candidate, baseline)
    assert verdict.sharper is False, verdict.reason
    assert "no better than noise" in verdict.reason


@pytest.mark.parametrize("name", SETS)
def test_no_negative_control_is_sharper(name: str, sets: dict[str, Tensor], baselines: dict[str, Evaluation]) -> None:
    controls: dict[str, Distortion] = {
        "the same": soft,
        "blur": lambda images: blur(images, 1.2),
        "flat": torch.zeros_like,
        **{f"noise {a}": lambda images, a=a: noisy(soft(images), a) for a in (0.01, 0.05, 0.2, 0.6)},
        **{f"checkerboard {a}": lambda images, a=a: checkered(soft(images), a) for a in (0.003, 0.02, 0.1)},
        "shuffled": lambda images: images.roll(1, 0),  # the real spectrum itself, of other images
    }
    for control, distort in controls.items():
        candidate = judge(sets[name], distort)
        verdict = sharper_reconstructions(candidate, baselines[name])
        assert verdict.sharper is False, (control, verdict.reason)
        assert sharper_samples(candidate, baselines[name]).sharper is not True


@pytest.mark.parametrize("name", SETS)
def test_sharpening_is_sharper_only_as_far_as_it_restores(name: str, sets: dict[str, Tensor]) -> None:
    def slightly_soft(images: Tensor) -> Tensor:
        return blur(images, 0.4)

    baseline = judge(sets[name], slightly_soft)
    too_much = judge(sets[name], lambda images: oversharpened(slightly_soft(images), 3.0))
    assert too_much.metrics["reconstruction/laplacian_gap"] > baseline.metrics["reconstruction/laplacian_gap"]
    verdict = sharper_reconstructions(too_much, baseline)
    assert verdict.sharper is False
    assert "no closer" in verdict.reason
    softer = judge(sets[name], lambda images: blur(images, 0.5))
    enough = judge(sets[name], lambda images: oversharpened(blur(images, 0.5), 1.0))
    assert sharper_reconstructions(enough, softer).sharper is True


def test_the_control_is_what_noise_really_does(photos: Tensor) -> None:
    baseline = judge(photos, soft)
    candidate = judge(photos, lambda images: noisy(soft(images), 0.1))
    assert candidate.metrics["reconstruction/coherence"] == pytest.approx(
        noise_coherence(baseline, candidate), abs=0.02
    )
    assert noise_coherence(baseline, baseline) == pytest.approx(baseline.metrics["reconstruction/coherence"])
    softer = judge(photos, lambda images: blur(images, 1.5))
    assert noise_coherence(baseline, softer) == pytest.approx(baseline.metrics["reconstruction/coherence"])


@pytest.mark.parametrize("name", ["digits", "small photos"])
def test_the_standard_error_bounds_the_scatter_of_noise(name: str, sets: dict[str, Tensor]) -> None:
    pixels = sets[name][:60]
    count, channels, size, _ = pixels.shape

    def scatter(seed: int) -> float:
        noise = 0.3 * normal((count, 1, size, size), seed, "grey noise").expand(-1, channels, -1, -1)
        candidate = judge(pixels, lambda images: 0.5 * soft(images) + noise)
        quiet = judge(pixels, lambda images: 0.5 * soft(images))
        return candidate.metrics["reconstruction/coherence"] - noise_coherence(quiet, candidate)

    found = torch.tensor([scatter(seed) for seed in range(30)])
    error = noise_standard_error(size, count)
    assert 0.3 * error < found.std() < 1.1 * error
    assert abs(found.mean()) < error


def test_samples_are_never_called_sharper_without_a_distance_between_the_sets(photos: Tensor) -> None:
    baseline = judge(photos, lambda images: noisy(soft(images), 0.3))
    verdict = sharper_samples(judge(photos, lambda images: images), baseline)
    assert verdict.sharper is None
    assert verdict.reason == "closer in spectrum and kurtosis; no set distance measured, so not called sharper"


def test_samples_that_are_further_off_are_not_sharper(photos: Tensor) -> None:
    baseline = judge(photos, lambda images: images)
    verdict = sharper_samples(judge(photos, lambda images: noisy(images, 0.3)), baseline)
    assert verdict.sharper is False
    assert "spectrum error" in verdict.reason
    assert "kurtosis gap" in verdict.reason


def test_statistics_of_other_images_do_not_pass_for_reconstructions(photos: Tensor) -> None:
    others = to_float(photos).roll(1, 0)
    metrics = judge(photos, lambda _: others).metrics
    assert metrics["reconstruction/spectrum_error"] == pytest.approx(0, abs=1e-9)
    assert abs(metrics["reconstruction/coherence"]) < 0.1
