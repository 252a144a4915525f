"""Sharpness metrics of real images with a known defect, and of the variants."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from torch import Tensor

from ..comparing.bootstrap import Estimate, Means, estimate
from ..comparing.comparison import Comparison
from ..comparing.evidence import Answer, ImageKind
from ..comparing.verdicts import find_verdicts
from ..metric_descriptions import describe_metric
from ..metrics.sharpness import Statistics, coherence, compute_distances, compute_statistics, high_band_mean
from ..negative_controls import REAL
from ..result import EvaluationResult

KINDS: tuple[ImageKind, ImageKind] = ("reconstruction", "sample")
COHERENCE = "coherence"
"""Metric of reconstructions that a defect has to lower; it has to raise the others."""
CONTROL_METRICS = ("spectrum_error", COHERENCE, "laplacian_gap", "kurtosis_gap")
"""Metrics in the order of the table; samples have no coherence."""
MIN_INCREASE = 0.02
"""Increase that the whole 95 % interval of a metric has to exceed to count as having detected a defect."""


class ControlRow(NamedTuple):
    """Metrics of one defect, or of one variant."""

    name: str
    variant: bool
    """True for a variant of the study, false for a control."""
    values: dict[str, float]
    """Value of each metric, whose key is without the kind of images; for a variant the mean over the seeds."""
    detected: frozenset[str]
    """Metrics that detect the defect: they tell it from untouched images."""
    ratio: float
    """Variance of the Laplacian as a multiple of the real images'; noise raises it."""
    answer: Answer | None
    """Verdict on a defect against untouched images; None for the untouched images and for variants."""

    def text(self, name: str, kind: ImageKind) -> str:
        """Return a metric as it is printed; empty if it was not measured."""
        return describe_metric(f"{kind}/{name}").format(self.values[name]) if name in self.values else ""


ControlRows = Mapping[ImageKind, Sequence[ControlRow]]
"""Rows for each kind of images."""


def build_control_rows(comparison: Comparison) -> dict[ImageKind, list[ControlRow]]:
    """Return rows of the untouched images, the defects and the variants, for each kind whose sharpness was measured."""
    return {
        kind: _build_rows(comparison, kind) for kind in KINDS if _has_sharpness(comparison.controls.get(REAL), kind)
    }


def compute_laplacian_ratio(result: EvaluationResult, kind: ImageKind) -> float:
    """Compute the variance of the Laplacian as a multiple of the real images' (Pech-Pacheco et al. 2000).

    It is the usual measure of sharpness elsewhere; noise, a checkerboard and over-sharpening raise it.
    """
    real, other = (_compute_statistics(result, name).laplacian_variance for name in ("real", kind))
    return float(other / real) if real else float("inf")


def estimate_increase(control: EvaluationResult, untouched: EvaluationResult, kind: ImageKind) -> dict[str, Estimate]:
    """Estimate how much worse than untouched images a defect is in each metric; above 0 is worse.

    Args:
        control: Result of real images with a defect.
        untouched: Result of the same images without it.
        kind: Kind of images whose place they take.
    """
    both = {"control": control, "untouched": untouched}
    images = kind if kind == "reconstruction" else "pairs"
    rows = {f"{images}/real": control.scores["sharpness/real"]}
    rows |= {f"{kind}/{name}": result.scores[f"sharpness/{kind}"] for name, result in both.items()}
    metrics = [metric for metric in CONTROL_METRICS if metric != COHERENCE or kind == "reconstruction"]
    if COHERENCE in metrics:
        rows |= {f"{kind}/{name} cross": result.scores["sharpness/cross"] for name, result in both.items()}

    def compute_increase(metric: str, means: Means) -> Tensor:
        sums = {key.partition("/")[2]: values for key, values in means.items()}
        real = compute_statistics(sums["real"])

        def compute_error(name: str) -> Tensor:
            statistics = compute_statistics(sums[name])
            if metric != COHERENCE:
                return compute_distances(real, statistics)[metric]
            bands = coherence(sums[f"{name} cross"], real.power, statistics.power)
            return -high_band_mean(bands, control.protocol["resolution"])

        return compute_error("control") - compute_error("untouched")

    return {metric: estimate([rows], partial(compute_increase, metric)) for metric in metrics}


def _build_rows(comparison: Comparison, kind: ImageKind) -> list[ControlRow]:
    controls = {name: control for name, control in comparison.controls.items() if _has_sharpness(control, kind)}
    untouched = controls.pop(REAL)
    by_seed = {REAL: {0: untouched}} | {name: {0: control} for name, control in controls.items()}
    verdicts = find_verdicts(by_seed, [(name, REAL) for name in controls])
    answers = {verdict.variant: verdict.answer for verdict in verdicts if verdict.kind == kind}
    rows = [_build_row(REAL, False, [untouched], kind)]
    for name, control in controls.items():
        increases = estimate_increase(control, untouched, kind)
        detected = frozenset(metric for metric, increase in increases.items() if increase.low > MIN_INCREASE)
        rows.append(_build_row(name, False, [control], kind, detected, answers.get(name)))
    for name, results in comparison.evaluations.items():
        if all(_has_sharpness(result, kind) for result in results.values()):
            rows.append(_build_row(name, True, list(results.values()), kind))
    return rows


def _build_row(
    name: str, variant: bool, results: Sequence[EvaluationResult], kind: ImageKind,
    detected: frozenset[str] = frozenset(), answer: Answer | None = None,
) -> ControlRow:  # fmt: skip
    values = {
        metric: sum(result.metrics[f"{kind}/{metric}"] for result in results) / len(results)
        for metric in CONTROL_METRICS
        if f"{kind}/{metric}" in results[0].metrics
    }
    ratio = sum(compute_laplacian_ratio(result, kind) for result in results) / len(results)
    return ControlRow(name, variant, values, detected, ratio, answer)


def _has_sharpness(result: EvaluationResult | None, kind: ImageKind) -> bool:
    return result is not None and f"sharpness/{kind}" in result.scores


def _compute_statistics(result: EvaluationResult, name: str) -> Statistics:
    return compute_statistics(result.scores[f"sharpness/{name}"].double().mean(0))
