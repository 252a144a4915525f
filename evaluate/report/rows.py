"""Rows of the page's tables of effects, costs and confusion matrices."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from vaegan.losses.adversarial import CONFUSION_COLUMNS

from ..comparing.bootstrap import Estimate
from ..comparing.comparison import Comparison
from ..comparing.verdicts import Effect, Pair, format_difference, format_probability, get_direction
from ..metric_descriptions import MetricDescription, describe_metric, sort_metrics


class CostBar(NamedTuple):
    """Cost of one variant."""

    name: str
    fraction: float
    """Length relative to the longest bar, from 0 to 1."""
    text: str


class EffectRow(NamedTuple):
    """Difference of a variant from a reference in one metric, as text."""

    metric: MetricDescription
    difference: str
    interval: str
    p: str
    cohens_d: str
    direction: str
    """`better`, `worse`, or empty: the difference may be chance, or neither direction is better."""


class ConfusionTable(NamedTuple):
    """Confusion matrix of a variant's discriminator, all seeds together."""

    name: str
    columns: tuple[str, ...]
    """Predicted classes."""
    rows: dict[str, list[float]]
    """Fractions of the images of each origin, one for each predicted class."""
    counted: str
    """`images`, or `patches` of them."""


def build_cost_bars(comparison: Comparison) -> dict[str, list[CostBar]]:
    """Return training time, memory and number of parameters of each variant, mean over the seeds, by their label."""
    spreads, bars = {name: comparison.get_spreads(name) for name in comparison.names}, {}
    for key in ("seconds", "memory_bytes", "parameters"):
        metric = describe_metric(key)
        means = {name: spread[key].mean for name, spread in spreads.items() if key in spread}
        highest = max(means.values(), default=0.0) or 1.0
        bars[metric.label] = [CostBar(name, mean / highest, metric.write(mean)) for name, mean in means.items()]
    return bars


def build_effect_rows(comparison: Comparison, effects: Sequence[Effect] | None = None) -> dict[Pair, list[EffectRow]]:
    """Return the effects of each pair of variants in the order of the table of metrics.

    Args:
        comparison: The study.
        effects: Its effects, with others that have no interval; None: those that have one.
    """
    effects = comparison.effects if effects is None else effects
    rows: dict[Pair, list[EffectRow]] = {pair: [] for pair in comparison.pairs if effects}
    order = sort_metrics({effect.key for effect in effects})
    for effect in sorted(effects, key=lambda effect: order.index(effect.key)):
        rows[effect.variant, effect.reference].append(build_effect_row(effect, comparison.density))
    return rows


def build_confusions(comparison: Comparison) -> list[ConfusionTable]:
    """Return the confusion matrices of the variants that have a discriminator."""
    tables = []
    for name, runs in comparison.runs.items():
        matrices = [run.evaluation.matrices.get("discriminator/confusion") for run in runs.values()]
        if counts := [torch.tensor(matrix, dtype=torch.float64) for matrix in matrices if matrix]:
            total = torch.stack(counts).sum(0)
            fractions = (total / total.sum(1, keepdim=True).clamp_min(1)).tolist()
            columns = CONFUSION_COLUMNS[total.shape[1]]
            protocol = next(iter(runs.values())).evaluation.protocol["confusion"]
            rows = dict(zip(protocol["rows"], fractions, strict=True))
            tables.append(ConfusionTable(name, columns, rows, protocol["counts"]))
    return tables


def build_effect_row(effect: Effect, density: str | None) -> EffectRow:
    """Return an effect as text; samples were drawn from ``density``, in words, or from the prior."""
    metric = describe_metric(effect.key, density)
    difference, _, interval = format_difference(effect.estimate, _count_decimals(effect.estimate)).partition(" ")
    return EffectRow(
        metric, difference, interval.strip("()").removeprefix("95 %: "), format_probability(effect.corrected),
        "" if effect.size is None else f"{effect.size:+.2f}".replace("-", "−"),
        get_direction(effect),
    )  # fmt: skip


def _count_decimals(estimate: Estimate) -> int:
    """Return the decimals that leave two digits of half the interval, 6 at most."""
    half = estimate.high - estimate.value
    return min(6, max(0, 1 - math.floor(math.log10(half)))) if 0 < half < math.inf else 3
