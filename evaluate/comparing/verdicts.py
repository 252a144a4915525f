"""What may be said of the variants of a study against one another."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..metric_descriptions import describe_metric, format_sample_source
from ..result import EvaluationResult
from .bootstrap import MIN_SEEDS, Estimate, compute_effect_size, correct_holm, estimate
from .evidence import Answer, Evidence, Kind, compare_reconstructions, compare_samples, compare_set_metric, decide

Evaluations = Mapping[str, Mapping[int, EvaluationResult]]
"""Of each variant, by seed."""
Pair = tuple[str, str]
"""A variant, and the one that it is compared with."""

PHRASES: dict[Answer, str] = {
    "sharper": "are sharper than",
    "sharper in spectrum but noisier": "are sharper in spectrum but noisier than",
    "closer in spectrum only": "are, in spectrum only, closer to the real images than",
    "less sharp": "are less sharp than",
    "not distinguishable": "are not distinguishable in sharpness from",
    "undecided": "may or may not be sharper than",
}


@dataclass(frozen=True)
class Verdict:
    """The verdict on one kind of a variant's images."""

    variant: str
    reference: str
    kind: Kind
    answer: Answer
    evidence: Evidence
    corrected: tuple[float, ...]
    """Probabilities of the evidence's tests, corrected for all of the study's."""
    seeds: tuple[int, ...]
    density: str | None
    """As of `EvaluationResult`."""

    @property
    def images(self) -> str:
        """What is compared: ``reconstructions``, or ``samples`` with the density that they were drawn from."""
        return f"{self.kind}s{format_sample_source(self.kind, self.density)}"

    @property
    def headline(self) -> str:
        """The verdict, one sentence without its full stop."""
        conditional = len(self.seeds) < MIN_SEEDS or self.answer == "not distinguishable"
        where = f" at {describe_seeds(self.seeds)}" if conditional else ""
        images = self.images[0].upper() + self.images[1:]
        return f"{images} of {self.variant} {PHRASES[self.answer]} those of {self.reference}{where}"

    @property
    def reasons(self) -> list[str]:
        """The differences behind it."""
        second = {
            "reconstruction": "coherence beyond that of noise of the same spectrum",
            "sample": "kurtosis gap",
        }[self.kind]
        named = zip(("spectrum error", second), self.evidence.tests, self.corrected, strict=True)
        reasons = [f"{name} {format_difference(test)}, {format_probability(p)}" for name, test, p in named]
        if self.kind == "sample":
            distance, name = self.evidence.distance, describe_metric(self.evidence.measure).label
            reasons.append(
                f"{name} {format_difference(distance, 5)}" if distance else "no distance of the sets was measured"
            )
        return reasons

    @property
    def sentence(self) -> str:
        """Both in one line."""
        return f"{self.headline}: {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class Effect:
    """How much higher a figure of a variant's images is than that of the reference's."""

    variant: str
    reference: str
    key: str
    """The figure."""
    estimate: Estimate
    corrected: float
    """Its probability, corrected for all effects of the study."""
    size: float | None
    """Cohen's d of the paired images; None: the figure is one of sets."""


def find_verdicts(evaluations: Evaluations, pairs: Sequence[Pair]) -> list[Verdict]:
    """The verdicts on pairs of variants, of the kinds of images whose sharpness both were measured by."""
    found = [(pair, evidence) for pair in pairs for evidence in _evidence(*(evaluations[name] for name in pair))]
    corrected = iter(correct_holm([test.p for _, evidence in found for test in evidence.tests]))
    findings = []
    for (name, reference), evidence in found:
        own = tuple(next(corrected) for _ in evidence.tests)
        seeds, density = tuple(evaluations[name]), next(iter(evaluations[name].values())).density
        findings.append(Verdict(name, reference, evidence.kind, decide(evidence, own), evidence, own, seeds, density))
    return findings


def estimate_effects(evaluations: Evaluations, pairs: Sequence[Pair]) -> list[Effect]:
    """How pairs of variants differ in each figure of single images, and in KID."""
    found = [(pair, *each) for pair in pairs for each in _effects(*(evaluations[name] for name in pair))]
    corrected = correct_holm([difference.p for _, _, difference, _ in found])
    return [
        Effect(*pair, key, difference, p, size)
        for (pair, key, difference, size), p in zip(found, corrected, strict=True)
    ]


def describe_condition(seeds: Sequence[int]) -> str:
    """How far the verdicts of a study reach."""
    if len(seeds) == 1:
        return f"One seed: every verdict is conditional on seed {seeds[0]}, and another seed may change it."
    few = ", which are few: every verdict is conditional on them" if len(seeds) < MIN_SEEDS else ""
    return f"{len(seeds)} seeds{few}."


def describe_seeds(seeds: Sequence[int]) -> str:
    """What the verdicts are conditional on."""
    return "this seed" if len(seeds) == 1 else f"these {len(seeds)} seeds"


def format_difference(found: Estimate, digits: int = 3) -> str:
    """A difference and its interval as text."""
    value, low, high = (f"{each:+.{digits}f}".replace("-", "−") for each in (found.value, found.low, found.high))
    return f"{value} (95 %: {low} to {high})" if math.isfinite(found.error) else f"{value} (no interval)"


def format_probability(p: float) -> str:
    """A corrected probability as text."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _evidence(
    candidate: Mapping[int, EvaluationResult], reference: Mapping[int, EvaluationResult]
) -> Iterator[Evidence]:
    measured = set.intersection(*(set(each.scores) for each in (*candidate.values(), *reference.values())))
    if "sharpness/reconstruction" in measured:
        yield compare_reconstructions(candidate, reference)
    if "sharpness/sample" in measured:
        yield compare_samples(candidate, reference)


def _effects(
    candidate: Mapping[int, EvaluationResult], reference: Mapping[int, EvaluationResult]
) -> Iterator[tuple[str, Estimate, float | None]]:
    measured = set.intersection(*(set(each.scores) for each in (*candidate.values(), *reference.values())))
    for key in sorted(key for key in measured if not key.startswith("sharpness/")):
        if describe_metric(key).is_set_metric:
            yield key, compare_set_metric(candidate, reference, key), None
        else:
            differences = [own.scores[key] - reference[seed].scores[key] for seed, own in candidate.items()]
            found = estimate([{"pairs/x": each[:, None]} for each in differences], lambda means: means["pairs/x"][:, 0])
            yield key, found, compute_effect_size(differences)
