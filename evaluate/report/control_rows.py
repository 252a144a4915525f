"""What the sharpness figures make of images whose defect is known, and of the variants beside them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from ..comparing.comparison import Comparison
from ..comparing.findings import find
from ..comparing.resampling import Estimate, Means, estimate
from ..comparing.verdict import Answer, Kind
from ..controls import REAL
from ..evaluation import Evaluation
from ..figures import figure
from ..metrics.sharpness import Statistics, coherence, distances, high_band_mean, statistics

KINDS: tuple[Kind, Kind] = ("reconstruction", "sample")
FIGURES = ("spectrum_error", "laplacian_gap", "kurtosis_gap")
"""Which the defects have to raise, in the order of a table."""
COHERENCE = "coherence"
"""Which they have to lower; of reconstructions alone."""
LEAST = 0.02
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
        return figure(f"{kind}/{name}").text(self.values[name]) if name in self.values else ""


ControlRows = Mapping[Kind, Sequence[ControlRow]]
"""Of each kind of images."""


def control_rows(comparison: Comparison) -> dict[Kind, list[ControlRow]]:
    """Of each kind of images whose sharpness was measured: the untouched ones, the defects, and the variants."""
    found = {kind: _rows(comparison, kind) for kind in KINDS if _measured(comparison.controls.get(REAL), kind)}
    return {kind: rows for kind, rows in found.items() if rows}


def laplacian_ratio(evaluation: Evaluation, kind: Kind) -> float:
    """Variance of the Laplacian of the images as a multiple of the real ones' (Pech-Pacheco et al. 2000).

    The figure that is usual elsewhere, and that noise, a checkerboard and over-sharpening raise.
    """
    real, other = (_statistics(evaluation, name).laplacian_variance for name in ("real", kind))
    return float(other / real) if real else float("inf")


def raised(control: Evaluation, floor: Evaluation, kind: Kind) -> dict[str, Estimate]:
    """How much worse than untouched images a defect is, by each figure: above 0 is further from the real images."""
    both = {"control": control, "floor": floor}
    images = kind if kind == "reconstruction" else "pairs"
    rows = {f"{images}/real": control.scores["sharpness/real"]}
    rows |= {f"{kind}/{name}": each.scores[f"sharpness/{kind}"] for name, each in both.items()}
    figures: tuple[str, ...] = FIGURES
    if kind == "reconstruction":
        figures = (*FIGURES, COHERENCE)
        rows |= {f"{kind}/{name} cross": each.scores["sharpness/cross"] for name, each in both.items()}

    def worse(name: str, means: Means) -> Tensor:
        of = {key.partition("/")[2]: values for key, values in means.items()}
        real = statistics(of["real"])
        if name != COHERENCE:
            return _difference(lambda each: distances(real, statistics(of[each]))[name])
        size = control.protocol["resolution"]
        return -_difference(
            lambda each: high_band_mean(coherence(of[f"{each} cross"], real.power, statistics(of[each]).power), size)
        )

    return {name: estimate([rows], partial(worse, name)) for name in figures}


def _rows(comparison: Comparison, kind: Kind) -> list[ControlRow]:
    controls = {name: each for name, each in comparison.controls.items() if _measured(each, kind)}
    floor = controls.pop(REAL)
    found = find({REAL: {0: floor}} | _seeded(controls), [(name, REAL) for name in controls])
    answers = {finding.variant: finding.answer for finding in found if finding.kind == kind}
    rows = [ControlRow(REAL, False, _values([floor], kind), frozenset(), laplacian_ratio(floor, kind), None)]
    for name, control in controls.items():
        seen = frozenset(key for key, found in raised(control, floor, kind).items() if found.low > LEAST)
        ratio = laplacian_ratio(control, kind)
        rows.append(ControlRow(name, False, _values([control], kind), seen, ratio, answers.get(name)))
    for name, runs in comparison.evaluations.items():
        if all(_measured(each, kind) for each in runs.values()):
            ratios = [laplacian_ratio(each, kind) for each in runs.values()]
            values = _values(list(runs.values()), kind)
            rows.append(ControlRow(name, True, values, frozenset(), sum(ratios) / len(ratios), None))
    return rows


def _difference(figure: Callable[[str], Tensor]) -> Tensor:
    return figure("control") - figure("floor")


def _seeded(controls: Mapping[str, Evaluation]) -> dict[str, dict[int, Evaluation]]:
    return {name: {0: each} for name, each in controls.items()}


def _measured(evaluation: Evaluation | None, kind: Kind) -> bool:
    return evaluation is not None and f"sharpness/{kind}" in evaluation.scores


def _statistics(evaluation: Evaluation, name: str) -> Statistics:
    return statistics(evaluation.scores[f"sharpness/{name}"].double().mean(0))


def _values(evaluations: Sequence[Evaluation], kind: Kind) -> dict[str, float]:
    names = [name for name in (FIGURES[0], COHERENCE, *FIGURES[1:]) if f"{kind}/{name}" in evaluations[0].metrics]
    found = {name: [each.metrics[f"{kind}/{name}"] for each in evaluations] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items()}
