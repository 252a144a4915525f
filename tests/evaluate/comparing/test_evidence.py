from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vaegan.evaluate.comparing.bootstrap import Estimate, correct_holm
from vaegan.evaluate.comparing.evidence import (
    Evidence,
    compare_reconstructions,
    compare_samples,
    decide,
    degrade_by_noise,
)
from vaegan.evaluate.metrics.sharpness import band_index
from vaegan.evaluate.result import EvaluationResult
from vaegan.images import to_float
from vaegan.randomness import draw_normal

from ..distortions import Distortion, add_checkerboard, add_noise, blur, evaluate, oversharpen

SETS = ["digits", "small photos", "photos"]


def soft(images: Tensor) -> Tensor:
    """Blur images as a plain VAE does."""
    return blur(images, 0.8)


def add_missing_power(missing: list[float], seed: int = 0) -> Distortion:
    """Soft images and noise that has the missing power of each band: the noise that a spectrum cannot tell."""

    def distort(images: Tensor) -> Tensor:
        size = images.shape[-1]
        gain = torch.tensor([0.0, *missing]).clamp_min(0).sqrt()[band_index(size)]
        noise = draw_normal(tuple(images.shape), seed, "fill")
        return soft(images) + torch.fft.ifft2(torch.fft.fft2(noise) * gain).real

    return distort


def collect_evidence(
    candidate: EvaluationResult, reference: EvaluationResult, kind: str = "reconstruction"
) -> Evidence:
    compare = {"reconstruction": compare_reconstructions, "sample": compare_samples}[kind]
    return compare({0: candidate}, {0: reference})


def decide_on(candidate: EvaluationResult, reference: EvaluationResult, kind: str = "reconstruction") -> str:
    """Return the answer where no other tests are made."""
    evidence = collect_evidence(candidate, reference, kind)
    return decide(evidence, correct_holm([test.p for test in evidence.tests]))


@pytest.fixture(scope="module")
def baselines(sets: dict[str, Tensor]) -> dict[str, EvaluationResult]:
    return {name: evaluate(pixels, soft) for name, pixels in sets.items()}


@pytest.mark.parametrize("name", SETS)
def test_less_blur_is_sharper(name: str, sets: dict[str, Tensor], baselines: dict[str, EvaluationResult]) -> None:
    for distort in (lambda images: images, lambda images: blur(images, 0.5), lambda images: add_noise(images, 0.02)):
        assert decide_on(evaluate(sets[name], distort), baselines[name]) == "sharper"


@pytest.mark.parametrize("name", SETS)
def test_more_blur_is_less_sharp(name: str, sets: dict[str, Tensor], baselines: dict[str, EvaluationResult]) -> None:
    blurred = evaluate(sets[name], lambda images: blur(images, 1.0))
    assert decide_on(blurred, baselines[name]) == decide_on(blurred, baselines[name], "sample") == "less sharp"


@pytest.mark.parametrize("name", SETS)
def test_the_same_is_not_distinguishable(
    name: str, sets: dict[str, Tensor], baselines: dict[str, EvaluationResult]
) -> None:
    again = evaluate(sets[name], soft)
    assert decide_on(again, baselines[name]) == decide_on(again, baselines[name], "sample") == "not distinguishable"
    spoilt = evaluate(sets[name], lambda images: add_noise(soft(images), 1e-4))
    assert decide_on(spoilt, baselines[name]) == "not distinguishable"


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("seed", range(5))
def test_noise_of_the_missing_spectrum_is_noisier(
    name: str, seed: int, sets: dict[str, Tensor], baselines: dict[str, EvaluationResult]
) -> None:
    baseline = baselines[name]
    curves = baseline.curves
    missing = [a - b for a, b in zip(curves["power/real"], curves["power/reconstruction"], strict=True)]
    candidate = evaluate(sets[name], add_missing_power(missing, seed))
    assert candidate.metrics["reconstruction/spectrum_error"] < 0.5 * baseline.metrics["reconstruction/spectrum_error"]
    assert decide_on(candidate, baseline) == "sharper in spectrum but noisier"


@pytest.mark.parametrize("name", SETS)
def test_no_negative_control_is_sharper(
    name: str, sets: dict[str, Tensor], baselines: dict[str, EvaluationResult]
) -> None:
    controls: dict[str, Distortion] = {
        "the same": soft,
        "blur": lambda images: blur(images, 1.2),
        "flat": torch.zeros_like,
        **{f"noise {a}": lambda images, a=a: add_noise(soft(images), a) for a in (0.01, 0.05, 0.2, 0.6)},
        **{f"checkerboard {a}": lambda images, a=a: add_checkerboard(soft(images), a) for a in (0.003, 0.02, 0.1)},
        "shuffled": lambda images: images.roll(1, 0),  # the real spectrum itself, of other images
    }
    for control, distort in controls.items():
        candidate = evaluate(sets[name], distort)
        assert decide_on(candidate, baselines[name]) != "sharper", control
        assert decide_on(candidate, baselines[name], "sample") != "sharper", control


@pytest.mark.parametrize("name", SETS)
def test_sharpening_is_sharper_only_as_far_as_it_restores(name: str, sets: dict[str, Tensor]) -> None:
    def slightly_soft(images: Tensor) -> Tensor:
        return blur(images, 0.4)

    baseline = evaluate(sets[name], slightly_soft)
    too_much = evaluate(sets[name], lambda images: oversharpen(slightly_soft(images), 3.0))
    assert too_much.metrics["reconstruction/laplacian_gap"] > baseline.metrics["reconstruction/laplacian_gap"]
    assert decide_on(too_much, baseline) == "less sharp"
    softer = evaluate(sets[name], lambda images: blur(images, 0.5))
    enough = evaluate(sets[name], lambda images: oversharpen(blur(images, 0.5), 1.0))
    assert decide_on(enough, softer) == "sharper"


def test_the_evidence_is_what_the_metrics_say(photos: Tensor) -> None:
    reference, candidate = (
        evaluate(photos, soft),
        evaluate(photos, lambda images: blur(images, 0.5)),
    )
    evidence = collect_evidence(candidate, reference)
    for estimate, key in ((evidence.spectrum, "spectrum_error"),):
        expected = candidate.metrics[f"reconstruction/{key}"] - reference.metrics[f"reconstruction/{key}"]
        assert estimate.value == pytest.approx(expected, abs=1e-9)
        assert estimate.low < expected < estimate.high < 0
    noisier = evaluate(photos, lambda images: add_noise(soft(images), 0.1))
    detail = collect_evidence(noisier, reference).second
    assert abs(detail.value) < 0.02  # what noise really does
    samples = collect_evidence(candidate, reference, "sample")
    expected = candidate.metrics["sample/kurtosis_gap"] - reference.metrics["sample/kurtosis_gap"]
    assert samples.second.value == pytest.approx(expected, abs=1e-9)


def test_noise_leaves_the_predicted_coherence() -> None:
    match, power = torch.tensor([0.8, 0.8, 0.0]), torch.tensor([1.0, 4.0, 0.0])
    assert degrade_by_noise(match, power, torch.tensor([4.0, 1.0, 0.0])).tolist() == pytest.approx([0.4, 0.8, 0.0])


def with_kid(evaluation: EvaluationResult, value: float) -> EvaluationResult:
    scores = {**evaluation.scores, "sample/kid_x": torch.full((10,), value)}
    return replace(evaluation, metrics={**evaluation.metrics, "sample/kid_x": value}, scores=scores)


def with_frechet(evaluation: EvaluationResult, value: float) -> EvaluationResult:
    return replace(evaluation, metrics={**evaluation.metrics, "sample/fd_x": value})


def test_samples_are_not_called_sharper_without_a_distance_between_the_sets(photos: Tensor) -> None:
    baseline, close = (
        evaluate(photos, lambda images: add_noise(soft(images), 0.3)),
        evaluate(photos, lambda images: images),
    )
    assert decide_on(close, baseline, "sample") == "undecided"
    assert decide_on(with_kid(close, 0.1), with_kid(baseline, 0.2), "sample") == "sharper"
    assert decide_on(with_kid(close, 0.3), with_kid(baseline, 0.2), "sample") == "closer in spectrum only"
    assert decide_on(with_kid(close, 0.1), baseline, "sample") == "undecided"


def test_the_frechet_distance_stands_in_for_kid(photos: Tensor) -> None:
    baseline, close = (
        evaluate(photos, lambda images: add_noise(soft(images), 0.3)),
        evaluate(photos, lambda images: images),
    )
    assert decide_on(with_frechet(close, 1.0), with_frechet(baseline, 2.0), "sample") == "sharper"
    assert decide_on(with_frechet(close, 3.0), with_frechet(baseline, 2.0), "sample") == "closer in spectrum only"
    evidence = collect_evidence(with_frechet(close, 1.0), with_frechet(baseline, 2.0), "sample")
    assert evidence.measure == "sample/fd_x" and evidence.distance is not None and evidence.distance.value == -1
    both = collect_evidence(*(with_kid(with_frechet(each, 1.0), 0.1) for each in (close, baseline)), "sample")
    assert both.measure == "sample/kid_x"


@pytest.mark.parametrize(
    ("kind", "spectrum", "second", "probabilities", "expected"),
    [
        ("reconstruction", -1.0, 1.0, (0.01, 0.01), "sharper"),
        ("reconstruction", -1.0, 1.0, (0.01, 0.06), "sharper in spectrum but noisier"),
        ("reconstruction", -1.0, -1.0, (0.01, 0.01), "sharper in spectrum but noisier"),
        ("reconstruction", 1.0, 1.0, (0.01, 0.01), "less sharp"),
        ("reconstruction", -1.0, 1.0, (0.06, 0.01), "not distinguishable"),
        ("sample", -1.0, -1.0, (0.01, 0.01), "undecided"),
        ("sample", -1.0, 1.0, (0.01, 0.01), "closer in spectrum only"),
        ("sample", -1.0, -1.0, (0.01, 0.06), "closer in spectrum only"),
        ("sample", 1.0, -1.0, (0.01, 0.01), "less sharp"),
    ],
)
def test_the_answer_follows_from_what_is_sure(kind, spectrum, second, probabilities, expected) -> None:
    tests = [Estimate(value, 0.1, value - 0.2, value + 0.2, 0.001) for value in (spectrum, second)]
    assert decide(Evidence(kind, *tests), probabilities) == expected


def test_with_no_difference_the_answer_is_as_often_as_the_level_says(digits: Tensor) -> None:
    """Two variants that differ in noise alone: different draws of the same strength."""
    answers = []
    for seed in range(60):
        pixels = digits[torch.randperm(400, generator=torch.Generator().manual_seed(seed))[:80]]
        one, other = (
            evaluate(pixels, lambda images, s=s: add_noise(soft(images), 0.05, s)) for s in (2 * seed, 2 * seed + 1)
        )
        answers.append(decide_on(one, other))
    assert answers.count("not distinguishable") >= 53


def test_statistics_of_other_images_do_not_pass_for_reconstructions(photos: Tensor) -> None:
    others = to_float(photos).roll(1, 0)
    metrics = evaluate(photos, lambda _: others).metrics
    assert metrics["reconstruction/spectrum_error"] == pytest.approx(0, abs=1e-9)
    assert abs(metrics["reconstruction/coherence"]) < 0.1
