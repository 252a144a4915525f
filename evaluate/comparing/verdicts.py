"""Verdicts on pairs of a study's variants, and the effects that they differ by."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..metric_descriptions import describe_metric, format_sample_source
from ..metrics.calibration import COVERAGE, ERROR
from .bootstrap import MIN_SEEDS, Estimate, compute_effect_size, correct_holm, estimate
from .evidence import (
    SIGNIFICANCE_LEVEL,
    Answer,
    Evidence,
    ImageKind,
    SeedResults,
    collect_evidence,
    compare_calibration,
    compare_set_metric,
    decide,
    get_common,
)

VariantResults = Mapping[str, SeedResults]
"""Results of variants by name, then by seed."""
Pair = tuple[str, str]
"""Name of a variant, and that of the reference that it is compared with."""

PHRASES: dict[Answer, str] = {
    "sharper": "are sharper than",
    "sharper in spectrum but noisier": "are sharper in spectrum but noisier than",
    "closer in spectrum only": "are, in spectrum only, closer to the real images than",
    "less sharp": "are less sharp than",
    "not distinguishable": "are not distinguishable in sharpness from",
    "undecided": "may or may not be sharper than",
}
"""Verb of the sentence of each answer."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on one kind of a variant's images."""

    variant: str
    reference: str
    kind: ImageKind
    answer: Answer
    evidence: Evidence
    corrected: tuple[float, ...]
    """Probabilities of the evidence's tests, corrected for all tests of the study."""
    seeds: tuple[int, ...]
    density: str | None
    """Density that samples were drawn from, in words; None: they were drawn from the prior."""

    @property
    def images(self) -> str:
        """The compared images: ``reconstructions``, or ``samples`` with the density that they were drawn from."""
        return f"{self.kind}s{format_sample_source(self.kind, self.density)}"

    @property
    def headline(self) -> str:
        """The verdict, one sentence without its full stop."""
        conditional = len(self.seeds) < MIN_SEEDS or self.answer == "not distinguishable"
        seeds = "this seed" if len(self.seeds) == 1 else f"these {len(self.seeds)} seeds"
        condition = f" at {seeds}" if conditional else ""
        images = self.images[0].upper() + self.images[1:]
        return f"{images} of {self.variant} {PHRASES[self.answer]} those of {self.reference}{condition}"

    @property
    def reasons(self) -> list[str]:
        """The differences that the verdict is based on, with their intervals and probabilities."""
        is_sample = self.kind == "sample"
        names = "spectrum error", "kurtosis gap" if is_sample else "coherence beyond that of noise of the same spectrum"
        tests = zip(names, self.evidence.tests, self.corrected, strict=True)
        reasons = [f"{name} {format_difference(test)}, {format_probability(p)}" for name, test, p in tests]
        if is_sample:
            distance, name = self.evidence.distance, describe_metric(self.evidence.measure).label
            reasons.append(
                f"{name} {format_difference(distance, 5)}" if distance else "no distance of the sets was measured"
            )
        return reasons

    @property
    def sentence(self) -> str:
        """The headline and the reasons in one line, without a full stop."""
        return f"{self.headline}: {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class Effect:
    """The difference of a metric between a variant's images and the reference's."""

    variant: str
    reference: str
    key: str
    """Key of the metric."""
    estimate: Estimate
    """Variant less reference."""
    corrected: float
    """Probability of the estimate, corrected for all effects of the study."""
    size: float | None
    """Cohen's d of the paired images; None: a single image has no value of the metric."""


def find_verdicts(results: VariantResults, pairs: Sequence[Pair]) -> list[Verdict]:
    """Return the verdicts on pairs of variants, for the kinds of images whose sharpness was measured of both."""
    comparisons = [(pair, evidence) for pair in pairs for evidence in collect_evidence(*(results[n] for n in pair))]
    probabilities = iter(correct_holm([test.p for _, evidence in comparisons for test in evidence.tests]))
    verdicts = []
    for (name, reference), evidence in comparisons:
        corrected = tuple(next(probabilities) for _ in evidence.tests)
        seeds, density = tuple(results[name]), next(iter(results[name].values())).density
        answer = decide(evidence, corrected)
        verdicts.append(Verdict(name, reference, evidence.kind, answer, evidence, corrected, seeds, density))
    return verdicts


def estimate_effects(results: VariantResults, pairs: Sequence[Pair]) -> list[Effect]:
    """Estimate the difference of pairs of variants in each metric of single images, and in KID."""
    effects = [(pair, *effect) for pair in pairs for effect in _estimate_effects(*(results[name] for name in pair))]
    corrected = correct_holm([difference.p for _, _, difference, _ in effects])
    return [
        Effect(*pair, key, difference, p, size)
        for (pair, key, difference, size), p in zip(effects, corrected, strict=True)
    ]


def get_direction(effect: Effect) -> str:
    """Return ``better`` or ``worse``; empty: the effect may be chance, or neither direction is better."""
    better = describe_metric(effect.key).better
    if better is None or effect.corrected >= SIGNIFICANCE_LEVEL:
        return ""
    return "better" if (effect.estimate.value > 0) == (better == "higher") else "worse"


def format_difference(difference: Estimate, digits: int = 3) -> str:
    """Return a difference and its interval as text, with that many decimals."""
    values = (difference.value, difference.low, difference.high)
    value, low, high = (f"{number:+.{digits}f}".replace("-", "−") for number in values)
    return f"{value} (95 %: {low} to {high})" if math.isfinite(difference.error) else f"{value} (no interval)"


def format_probability(p: float) -> str:
    """Return a corrected probability as text."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _estimate_effects(candidate: SeedResults, reference: SeedResults) -> Iterator[tuple[str, Estimate, float | None]]:
    metrics = get_common(candidate, reference, "metrics")
    for key in get_common(candidate, reference, "scores"):
        if key == COVERAGE:
            yield ERROR, compare_calibration(candidate, reference), None
        elif key not in metrics:  # values of single images of which no metric is the mean
            continue
        elif describe_metric(key).is_set_metric:
            yield key, compare_set_metric(candidate, reference, key), None
        else:
            differences = [result.scores[key] - reference[seed].scores[key] for seed, result in candidate.items()]
            seeds = [{"pairs/x": values[:, None]} for values in differences]
            difference = estimate(seeds, lambda means: means["pairs/x"][:, 0])
            yield key, difference, compute_effect_size(differences)
