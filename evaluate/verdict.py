"""When one model may be called sharper than another."""

import math
from dataclasses import dataclass

import torch

from .runner import Evaluation
from .sharpness import HIGH_FREQUENCY, band_counts, high_band_mean

CERTAINTY = 3.0
"""Standard errors by which coherence must beat that of noise."""

HANN_SPREAD = 35 / 18
"""Factor by which the Hann window w, which correlates neighbouring coefficients, widens the standard error of a mean of
products: <w^4> / <w^2>^2 of one axis, the root of that of two."""


@dataclass(frozen=True)
class Verdict:
    """An answer and its reason."""

    sharper: bool | None
    """None: the figures do not decide."""
    reason: str
    """One sentence."""


def noise_coherence(baseline: Evaluation, candidate: Evaluation) -> float:
    """Coherence of the control: the baseline's reconstructions plus noise up to the candidate's spectrum.

    Noise that knows nothing of the real image adds to the power of a band and nothing to its cross-spectrum, so
    coh sqrt(P / (P + N)) with N = max(P_candidate - P, 0) is left of the baseline's coh, band by band; then the
    mean over the high bands.
    """
    power, target, match = (
        torch.tensor(evaluation.curves[key], dtype=torch.float64)
        for evaluation, key in (
            (baseline, "power/reconstruction"),
            (candidate, "power/reconstruction"),
            (baseline, "coherence/reconstruction"),
        )
    )
    raised = torch.maximum(power, target)
    left = torch.where(raised > 0, (power / raised).sqrt(), 1.0)
    return high_band_mean(match * left, baseline.curves["frequency"])


def noise_standard_error(size: int, images: int) -> float:
    """Largest standard error of the coherence that independent noise has with ``images`` images of ``size`` pixels.

    35/18 sqrt(sum over the B high bands of 1 / (images K)) / B for bands of K coefficients. Noise of the same power
    in each image scatters the quotient of a band by at most 1 / sqrt(images K), whatever the real images are;
    channels count once, since noise may be the same in all.
    """
    high = [count for band, count in enumerate(band_counts(size), start=1) if band / size >= HIGH_FREQUENCY]
    return HANN_SPREAD * math.sqrt(sum(1 / (images * count) for count in high)) / len(high)


def sharper_reconstructions(candidate: Evaluation, baseline: Evaluation) -> Verdict:
    """Whether the candidate's reconstructions are sharper than the baseline's, and not just noisier.

    They are if their spectrum is closer to the real images' and their high-frequency coherence with them beats
    `noise_coherence` by `CERTAINTY` standard errors of noise. A filter that amplifies what the baseline shows is
    therefore sharper as long as it brings the spectrum closer, though it knows no more: neither figure can tell.

    Args:
        candidate: With the sharpness figures.
        baseline: With the same, of the same images.
    """
    error, before = (each.metrics["reconstruction/spectrum_error"] for each in (candidate, baseline))
    if error >= before:
        return Verdict(
            False, f"not sharper: the spectrum is no closer to the real images' ({error:.3f} >= {before:.3f})"
        )
    match, noise = candidate.metrics["reconstruction/coherence"], noise_coherence(baseline, candidate)
    size, images = (candidate.protocol[key] for key in ("resolution", "reconstructions"))
    margin = CERTAINTY * noise_standard_error(size, images)
    before_match = baseline.metrics["reconstruction/coherence"]
    figures = (
        f"spectrum error {before:.3f} -> {error:.3f}, coherence {before_match:.3f} -> {match:.3f}, "
        f"{noise:.3f} +- {margin:.3f} with noise"
    )
    if match <= noise + margin:
        return Verdict(False, f"not sharper: the added detail is no better than noise of its spectrum ({figures})")
    return Verdict(True, f"sharper: closer in spectrum, with detail that noise of its spectrum has not ({figures})")


def sharper_samples(candidate: Evaluation, baseline: Evaluation) -> Verdict:
    """Whether the candidate's samples are sharper than the baseline's.

    Closeness in spectrum and kurtosis is necessary. It is not enough: a distance between the sets (KID, or a
    Frechet distance) must not have risen, and none is measured yet, so that the answer is False or None.

    Args:
        candidate: With the sharpness figures of samples.
        baseline: With the same.
    """
    worse = [
        f"{name} {before:.3f} -> {after:.3f}"
        for name, key in (("spectrum error", "sample/spectrum_error"), ("kurtosis gap", "sample/kurtosis_gap"))
        if (after := candidate.metrics[key]) >= (before := baseline.metrics[key])
    ]
    if worse:
        return Verdict(False, f"not sharper: no closer to the real images in {', '.join(worse)}")
    return Verdict(None, "closer in spectrum and kurtosis; no set distance measured, so not called sharper")
