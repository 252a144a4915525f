"""What the sharpness figures make of images whose defect is known, and of the variants beside them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from ..comparing.bootstrap import Estimate, Means, estimate
from ..comparing.comparison import Comparison
from ..comparing.findings import find_verdicts
from ..comparing.verdict import Answer, Kind
from ..descriptions import describe_metric
from ..metrics.sharpness import Statistics, coherence, compute_distances, compute_statistics, high_band_mean
from ..negative_controls import REAL
from ..result import EvaluationResult

KINDS: tuple[Kind, Kind] = ("reconstruction", "sample")
SHARPNESS_METRICS = ("spectrum_error", "laplacian_gap", "kurtosis_gap")
"""Which the defects have to raise, in the order of a table."""
COHERENCE = "coherence"
"""Which they have to lower; of reconstructions alone."""
MIN_INCREASE = 0.02
"""By how much a figure has to be worse, with the whole of its 95 % interval, to count as having seen a defect."""


@dataclass(frozen=True)
class ControlRow:
    """One defect, or one variant."""

    name: str
    variant: bool
    """Whether it is a variant of the study."""
    values: dict[str, float]
    """By figure, without the kind of images; of a variant the mean over the seeds."""
    seen: frozenset[str]
    """The figures that tell a defect from untouched images."""
    ratio: float
    """Variance of the Laplacian as a multiple of the real images': what noise raises."""
    answer: Answer | None
    """The verdict on a defect against untouched images; None: it is none."""

    def text(self, name: str, kind: Kind) -> str:
        """A figure; empty where there is none."""
        return describe_metric(f"{kind}/{name}").text(self.values[name]) if name in self.values else ""


ControlRows = Mapping[Kind, Sequence[ControlRow]]
"""Of each kind of images."""


def build_control_rows(comparison: Comparison) -> dict[Kind, list[ControlRow]]:
    """Of each kind of images whose sharpness was measured: the untouched ones, the defects, and the variants."""
    found = {kind: _rows(comparison, kind) for kind in KINDS if _measured(comparison.controls.get(REAL), kind)}
    return {kind: rows for kind, rows in found.items() if rows}


def compute_laplacian_ratio(evaluation: EvaluationResult, kind: Kind) -> float:
    """Variance of the Laplacian of the images as a multiple of the real ones' (Pech-Pacheco et al. 2000).

    The figure that is usual elsewhere, and that noise, a checkerboard and over-sharpening raise.
    """
    real, other = (_statistics(evaluation, name).laplacian_variance for name in ("real", kind))
    return float(other / real) if real else float("inf")


def estimate_increase(control: EvaluationResult, floor: EvaluationResult, kind: Kind) -> dict[str, Estimate]:
    """How much worse than untouched images a defect is, by each figure: above 0 is further from the real images."""
    both = {"control": control, "floor": floor}
    images = kind if kind == "reconstruction" else "pairs"
    rows = {f"{images}/real": control.scores["sharpness/real"]}
    rows |= {f"{kind}/{name}": each.scores[f"sharpness/{kind}"] for name, each in both.items()}
    figures: tuple[str, ...] = SHARPNESS_METRICS
    if kind == "reconstruction":
        figures = (*SHARPNESS_METRICS, COHERENCE)
        rows |= {f"{kind}/{name} cross": each.scores["sharpness/cross"] for name, each in both.items()}

    def worse(name: str, means: Means) -> Tensor:
        of = {key.partition("/")[2]: values for key, values in means.items()}
        real = compute_statistics(of["real"])
        if name != COHERENCE:
            return _difference(lambda each: compute_distances(real, compute_statistics(of[each]))[name])
        size = control.protocol["resolution"]
        return -_difference(
            lambda each: high_band_mean(
                coherence(of[f"{each} cross"], real.power, compute_statistics(of[each]).power), size
            )
        )

    return {name: estimate([rows], partial(worse, name)) for name in figures}


def _rows(comparison: Comparison, kind: Kind) -> list[ControlRow]:
    controls = {name: each for name, each in comparison.controls.items() if _measured(each, kind)}
    floor = controls.pop(REAL)
    found = find_verdicts({REAL: {0: floor}} | _seeded(controls), [(name, REAL) for name in controls])
    answers = {finding.variant: finding.answer for finding in found if finding.kind == kind}
    rows = [ControlRow(REAL, False, _values([floor], kind), frozenset(), compute_laplacian_ratio(floor, kind), None)]
    for name, control in controls.items():
        seen = frozenset(
            key for key, found in estimate_increase(control, floor, kind).items() if found.low > MIN_INCREASE
        )
        ratio = compute_laplacian_ratio(control, kind)
        rows.append(ControlRow(name, False, _values([control], kind), seen, ratio, answers.get(name)))
    for name, runs in comparison.evaluations.items():
        if all(_measured(each, kind) for each in runs.values()):
            ratios = [compute_laplacian_ratio(each, kind) for each in runs.values()]
            values = _values(list(runs.values()), kind)
            rows.append(ControlRow(name, True, values, frozenset(), sum(ratios) / len(ratios), None))
    return rows


def _difference(figure: Callable[[str], Tensor]) -> Tensor:
    return figure("control") - figure("floor")


def _seeded(controls: Mapping[str, EvaluationResult]) -> dict[str, dict[int, EvaluationResult]]:
    return {name: {0: each} for name, each in controls.items()}


def _measured(evaluation: EvaluationResult | None, kind: Kind) -> bool:
    return evaluation is not None and f"sharpness/{kind}" in evaluation.scores


def _statistics(evaluation: EvaluationResult, name: str) -> Statistics:
    return compute_statistics(evaluation.scores[f"sharpness/{name}"].double().mean(0))


def _values(evaluations: Sequence[EvaluationResult], kind: Kind) -> dict[str, float]:
    names = [
        name
        for name in (SHARPNESS_METRICS[0], COHERENCE, *SHARPNESS_METRICS[1:])
        if f"{kind}/{name}" in evaluations[0].metrics
    ]
    found = {name: [each.metrics[f"{kind}/{name}"] for each in evaluations] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items()}
