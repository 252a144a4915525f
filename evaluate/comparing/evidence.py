"""Evidence that the images of one model are sharper than those of another, and the answer that it permits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from vaegan.applications.uncertainty import compute_calibration_error

from ..metrics.calibration import COVERAGE
from ..metrics.sharpness import coherence, compute_distances, compute_statistics, high_band_mean, spectrum_error
from ..result import EvaluationResult
from .bootstrap import Estimate, Means, estimate, estimate_from_blocks, make_estimate_without_interval

ImageKind = Literal["reconstruction", "sample"]
"""Kind of images."""
Answer = Literal[
    "sharper", "sharper in spectrum but noisier", "closer in spectrum only", "less sharp", "not distinguishable",
    "undecided",
]  # fmt: skip
"""Answer to the question whether a variant's images are sharper than the reference's."""
SeedResults = Mapping[int, EvaluationResult]
"""Results of one variant, by seed."""

SIGNIFICANCE_LEVEL = 0.05
"""Probability, corrected for the number of tests, below which a difference counts."""


@dataclass(frozen=True)
class Evidence:
    """The differences of a variant from the reference in one kind of images: variant less reference.

    The names of its fields are keys of `comparison.json`.
    """

    kind: ImageKind
    spectrum: Estimate
    """Difference of the spectrum error: below 0 is closer to the real images."""
    second: Estimate
    """Difference of the reconstructions' coherence with the real images beyond what noise of the same spectrum would
    leave: above 0 is detail. Of samples, difference of the kurtosis gap: below 0 is closer to the real images."""
    distance: Estimate | None = None
    """Difference of the samples' distance from the real images as a set: below 0 is closer; None: not measured."""
    measure: str = ""
    """Key of the metric that this distance is."""

    @property
    def tests(self) -> tuple[Estimate, Estimate]:
        """The differences whose significance decides the answer."""
        return self.spectrum, self.second


def decide(evidence: Evidence, probabilities: Sequence[float]) -> Answer:
    """Return the answer that the evidence permits.

    Reconstructions are sharper if their spectrum is closer to the real images' and they agree with them in detail
    better than noise of that spectrum would. Samples are sharper if spectrum and kurtosis are closer to the real
    images' and the distance of the sets has not risen. A filter that amplifies what the reference shows is therefore
    sharper as long as it brings the spectrum closer, though it adds no information: no metric here can detect that.

    Args:
        evidence: Differences of the variant from the reference.
        probabilities: Probabilities of its `tests`, corrected for all tests of the study.
    """
    significant = [probability < SIGNIFICANCE_LEVEL for probability in probabilities]
    if not significant[0]:
        return "not distinguishable"
    if evidence.spectrum.value > 0:
        return "less sharp"
    if evidence.kind == "reconstruction":
        return "sharper" if significant[1] and evidence.second.value > 0 else "sharper in spectrum but noisier"
    if not significant[1] or evidence.second.value > 0:
        return "closer in spectrum only"
    if evidence.distance is None:
        return "undecided"
    return "sharper" if evidence.distance.value <= 0 else "closer in spectrum only"


def collect_evidence(candidate: SeedResults, reference: SeedResults) -> list[Evidence]:
    """Return the evidence on each kind of images whose sharpness was measured in every run of both variants."""
    comparisons = {"sharpness/reconstruction": compare_reconstructions, "sharpness/sample": compare_samples}
    measured = get_common(candidate, reference, "scores")
    return [compare(candidate, reference) for name, compare in comparisons.items() if name in measured]


def compare_reconstructions(candidate: SeedResults, reference: SeedResults) -> Evidence:
    """Compare reconstructions of the same real images, seed by seed; the results of both must have sharpness scores."""
    size = next(iter(candidate.values())).protocol["resolution"]
    seeds = []
    for seed, result in candidate.items():
        values = {"pairs/real": result.scores["sharpness/real"]}
        for name, scores in (("candidate", result.scores), ("reference", reference[seed].scores)):
            values[f"pairs/{name}"] = scores["sharpness/reconstruction"]
            values[f"pairs/{name} cross"] = scores["sharpness/cross"]
        seeds.append(values)

    def get_power(means: Means, name: str) -> Tensor:
        return compute_statistics(means[f"pairs/{name}"]).power

    def spectrum(means: Means) -> Tensor:
        return _subtract(lambda name: spectrum_error(get_power(means, "real"), get_power(means, name)))

    def detail(means: Means) -> Tensor:
        real_power, power, reference_power = (get_power(means, name) for name in ("real", "candidate", "reference"))
        match = coherence(means["pairs/candidate cross"], real_power, power)
        reference_match = coherence(means["pairs/reference cross"], real_power, reference_power)
        return high_band_mean(match - degrade_by_noise(reference_match, reference_power, power), size)

    return Evidence("reconstruction", estimate(seeds, spectrum), estimate(seeds, detail))


def compare_samples(candidate: SeedResults, reference: SeedResults) -> Evidence:
    """Compare samples from the same codes, seed by seed; the results of both must have sharpness scores."""
    seeds = [
        {
            "pairs/real": result.scores["sharpness/real"],
            "sample/candidate": result.scores["sharpness/sample"],
            "sample/reference": reference[seed].scores["sharpness/sample"],
        }
        for seed, result in candidate.items()
    ]

    def subtract(metric: str, means: Means) -> Tensor:
        real = compute_statistics(means["pairs/real"])
        return _subtract(lambda name: compute_distances(real, compute_statistics(means[f"sample/{name}"]))[metric])

    spectrum, kurtosis = (estimate(seeds, partial(subtract, key)) for key in ("spectrum_error", "kurtosis_gap"))
    return Evidence("sample", spectrum, kurtosis, *compare_sets(candidate, reference))


def compare_sets(candidate: SeedResults, reference: SeedResults) -> tuple[Estimate | None, str]:
    """Return how much further from the real images the candidate's samples are as a set, and the key of the metric.

    The metric is KID, or else the Frechet distance, which has no interval; None: neither was measured.
    """
    measured = get_common(candidate, reference, "metrics")
    names = ("sample/kid", "sample/fd_", "sample/fid")
    key = next((key for name in names for key in measured if key.startswith(name)), None)
    return (compare_set_metric(candidate, reference, key), key) if key else (None, "")


def compare_set_metric(candidate: SeedResults, reference: SeedResults, key: str) -> Estimate:
    """Estimate the difference of a metric of sets, without an interval where it is not known of blocks of images."""
    pairs = [(result, reference[seed]) for seed, result in candidate.items()]
    values = [result.metrics[key] - other.metrics[key] for result, other in pairs]
    if not all(key in result.scores for pair in pairs for result in pair):
        return make_estimate_without_interval(torch.tensor(values, dtype=torch.float64))
    return estimate_from_blocks(values, [result.scores[key] - other.scores[key] for result, other in pairs])


def compare_calibration(candidate: SeedResults, reference: SeedResults) -> Estimate:
    """Estimate the difference of the calibration errors; the results of both must have the images' coverages."""
    seeds = [
        {"pairs/candidate": result.scores[COVERAGE], "pairs/reference": reference[seed].scores[COVERAGE]}
        for seed, result in candidate.items()
    ]
    return estimate(seeds, lambda means: _subtract(lambda name: compute_calibration_error(means[f"pairs/{name}"])))


def get_common(candidate: SeedResults, reference: SeedResults, field: Literal["metrics", "scores"]) -> list[str]:
    """Return the names of the metrics, or of the scores, that every run of both variants has, sorted."""
    results = (*candidate.values(), *reference.values())
    return sorted(set.intersection(*(set(getattr(result, field)) for result in results)))


def degrade_by_noise(match: Tensor, power: Tensor, target: Tensor) -> Tensor:
    """Return the coherence of each band after noise has raised the power of images to that of others.

    Noise that knows nothing of the real image adds to the power P of a band and nothing to its cross-spectrum, so that
    coh sqrt(P / (P + N)) with N = max(P_target - P, 0) is left of the coherence coh.

    Args:
        match: coh, shape (..., bands).
        power: P, shape (..., bands).
        target: P_target, shape (..., bands).
    """
    raised = torch.maximum(power, target)
    return match * torch.where(raised > 0, (power / raised).sqrt(), 1.0)


def _subtract(compute: Callable[[str], Tensor]) -> Tensor:
    return compute("candidate") - compute("reference")
