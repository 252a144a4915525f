"""When one model may be called sharper than another, and how sure that is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..metrics.sharpness import coherence, compute_statistics, high_band_mean, kurtosis_gap, spectrum_error
from ..result import EvaluationResult
from .bootstrap import Estimate, Means, estimate, estimate_from_blocks, make_estimate_without_interval

Kind = Literal["reconstruction", "sample"]
Answer = Literal[
    "sharper", "sharper in spectrum but noisier", "closer in spectrum only", "less sharp", "not distinguishable",
    "undecided",
]  # fmt: skip
Evaluations = Mapping[int, EvaluationResult]
"""Of one variant, by seed."""

SIGNIFICANCE_LEVEL = 0.05
"""Probability, corrected for the number of tests, below which a difference counts."""


@dataclass(frozen=True)
class Evidence:
    """How one variant differs from another in one kind of images: variant less reference."""

    kind: Kind
    spectrum: Estimate
    """Of the spectrum error: below 0 is closer to the real images'."""
    second: Estimate
    """Of reconstructions, of their coherence with the real images beyond what noise of the same spectrum would leave:
    above 0 is detail. Of samples, of the kurtosis gap: below 0 is closer to the real images'."""
    distance: Estimate | None = None
    """Of samples, of their distance from the real images as a set: below 0 is closer. None: it was not measured."""
    measure: str = ""
    """The figure that this distance is."""

    @property
    def tests(self) -> tuple[Estimate, Estimate]:
        """What the answer has to be sure of."""
        return self.spectrum, self.second


def decide(evidence: Evidence, probabilities: Sequence[float]) -> Answer:
    """What may be said of the variant.

    Reconstructions are sharper if their spectrum is closer to the real images' and they agree with them in detail
    better than noise of that spectrum would. Samples are sharper if spectrum and kurtosis are closer to the real
    images' and the distance of the sets has not risen. A filter that amplifies what the reference shows is therefore
    sharper as long as it brings the spectrum closer, though it knows no more: no figure here can tell.

    Args:
        evidence: The differences.
        probabilities: Of its `tests`, corrected for all tests of the study.
    """
    sure = [probability < SIGNIFICANCE_LEVEL for probability in probabilities]
    if not sure[0]:
        return "not distinguishable"
    if evidence.spectrum.value > 0:
        return "less sharp"
    if evidence.kind == "reconstruction":
        return "sharper" if sure[1] and evidence.second.value > 0 else "sharper in spectrum but noisier"
    if not sure[1] or evidence.second.value > 0:
        return "closer in spectrum only"
    if evidence.distance is None:
        return "undecided"
    return "sharper" if evidence.distance.value <= 0 else "closer in spectrum only"


def compare_reconstructions(candidate: Evaluations, reference: Evaluations) -> Evidence:
    """Of the same real images, seed by seed; both with the sharpness figures."""
    size = next(iter(candidate.values())).protocol["resolution"]
    seeds = [
        {"pairs/real": own.scores["sharpness/real"]}
        | {f"pairs/{name}": each.scores["sharpness/reconstruction"] for name, each in _both(own, reference[seed])}
        | {f"pairs/{name} cross": each.scores["sharpness/cross"] for name, each in _both(own, reference[seed])}
        for seed, own in candidate.items()
    ]

    def power(means: Means, name: str) -> Tensor:
        return compute_statistics(means[f"pairs/{name}"]).power

    def spectrum(means: Means) -> Tensor:
        return _difference(lambda name: spectrum_error(power(means, "real"), power(means, name)))

    def detail(means: Means) -> Tensor:
        real, own, other = (power(means, name) for name in ("real", "candidate", "reference"))
        match = coherence(means["pairs/candidate cross"], real, own)
        before = coherence(means["pairs/reference cross"], real, other)
        return high_band_mean(match - degrade_by_noise(before, other, own), size)

    return Evidence("reconstruction", estimate(seeds, spectrum), estimate(seeds, detail))


def compare_samples(candidate: Evaluations, reference: Evaluations) -> Evidence:
    """Of samples from the same codes, seed by seed; both with the sharpness figures."""
    seeds = [
        {"pairs/real": own.scores["sharpness/real"]}
        | {f"sample/{name}": each.scores["sharpness/sample"] for name, each in _both(own, reference[seed])}
        for seed, own in candidate.items()
    ]

    def gap(figure: Callable[..., Tensor], means: Means) -> Tensor:
        real = compute_statistics(means["pairs/real"])
        return _difference(lambda name: figure(real, compute_statistics(means[f"sample/{name}"])))

    return Evidence(
        "sample",
        estimate(seeds, lambda means: gap(lambda real, other: spectrum_error(real.power, other.power), means)),
        estimate(seeds, lambda means: gap(kurtosis_gap, means)),
        *compare_sets(candidate, reference, "sample"),
    )


def compare_sets(candidate: Evaluations, reference: Evaluations, kind: Kind) -> tuple[Estimate | None, str]:
    """How much further off the candidate's images are, as a set, and by which figure.

    By KID; where that was not measured by the Frechet distance, which tells nothing of how sure it is; None: neither.
    """
    measured = set.intersection(*(set(each.metrics) for each in (*candidate.values(), *reference.values())))
    names = sorted(measured, key=lambda key: (not key.startswith(f"{kind}/kid"), key))
    found = [key for key in names if key.startswith((f"{kind}/kid", f"{kind}/fid", f"{kind}/fd_"))]
    if not found:
        return None, ""
    return compare_set_metric(candidate, reference, found[0]), found[0]


def compare_set_metric(candidate: Evaluations, reference: Evaluations, key: str) -> Estimate:
    """How much higher a figure of sets is; without an interval where it is not known of blocks of images."""
    pairs = [(own, reference[seed]) for seed, own in candidate.items()]
    values = [own.metrics[key] - other.metrics[key] for own, other in pairs]
    if not all(key in each.scores for pair in pairs for each in pair):
        return make_estimate_without_interval(torch.tensor(values, dtype=torch.float64))
    return estimate_from_blocks(values, [own.scores[key] - other.scores[key] for own, other in pairs])


def degrade_by_noise(match: Tensor, power: Tensor, target: Tensor) -> Tensor:
    """Coherence of each band once noise has raised the power of images to that of others.

    Noise that knows nothing of the real image adds to the power P of a band and nothing to its cross-spectrum, so that
    coh sqrt(P / (P + N)) with N = max(P_target - P, 0) is left of the coherence coh.

    Args:
        match: coh, shape (..., bands).
        power: P, the same shape.
        target: P_target, the same shape.
    """
    raised = torch.maximum(power, target)
    return match * torch.where(raised > 0, (power / raised).sqrt(), 1.0)


def _both(candidate: EvaluationResult, reference: EvaluationResult) -> list[tuple[str, EvaluationResult]]:
    return [("candidate", candidate), ("reference", reference)]


def _difference(figure: Callable[[str], Tensor]) -> Tensor:
    return figure("candidate") - figure("reference")
