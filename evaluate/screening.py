"""The screening of an ablation: the metric by which changes pass, and those that pass."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from vaegan.config.ablation_schema import BASE, SUM
from vaegan.config.load_ablation import LoadedAblation, Selection
from vaegan.config.load_study_files import LoadedStudy
from vaegan.errors import UserError
from vaegan.storage.run_folder import Run

from .comparing.comparison import Comparison
from .deciding_metric import check_deciding_metric
from .metric_descriptions import describe_metric, sort_metrics, strip_network
from .result import read_result
from .study import get_run_folder

SeedMetrics = Mapping[str, Sequence[Mapping[str, float]]]
"""Metrics of the runs of each variant, in the order of the seeds."""


def check_metric(loaded: LoadedAblation, screening: LoadedStudy) -> None:
    """Check that the metric that decides is measured of every variant, and that one of its directions is better.

    Args:
        loaded: The ablation.
        screening: The study of its screening.

    Raises:
        UserError: It is not, or neither direction is better.
    """
    for name, config in screening.configs.items():
        evaluate, source = config.evaluate, f"{loaded.source}: {'' if name == BASE else f'changes.{name}: '}metric"
        if screening.classifier is not None:
            evaluate = evaluate.model_copy(update={"features": screening.classifier[0]})
        check_deciding_metric(loaded.ablation.metric, source, evaluate, config.model)


def find_metric_key(metric: str, metrics: Mapping[str, float]) -> str:
    """Return the key of a metric among those of a run, with the network of its features.

    Raises:
        UserError: The run does not have it.
    """
    for key in sort_metrics(set(metrics)):
        if strip_network(key) == metric:
            return key
    raise UserError(f"metric: {metric}: the runs do not have it; they have {', '.join(sort_metrics(set(metrics)))}")


def select_changes(loaded: LoadedAblation, metrics: SeedMetrics) -> Selection:
    """Return the changes that pass the screening, the best first, and those whose sum is confirmed.

    A change passes if the mean over the seeds of its difference from the base is in the better direction, and if it is
    among the best `keep`. The confirmed sum consists of the changes that pass. But if the screening's sum is better
    than the base and than every change alone, that sum passes as it is, with the changes that only help beside others.

    Args:
        loaded: The ablation.
        metrics: Metrics of the screening.

    Raises:
        UserError: The runs of the base, or of a change, do not have the metric that decides.
    """
    key = find_metric_key(loaded.ablation.metric, metrics[BASE][0])
    sign = 1 if describe_metric(key).better == "higher" else -1
    differences = {name: list_differences(metrics, name, key) for name in loaded.ablation.changes}
    for name, of_seeds in differences.items():
        if not of_seeds:
            raise UserError(
                f"{loaded.source}: changes.{name}: its runs have no {key}, by which changes pass; leave it out"
            )
    gains = {name: sign * statistics.fmean(of_seeds) for name, of_seeds in differences.items()}
    passed = sorted((name for name in gains if gains[name] > 0), key=lambda name: -gains[name])[: loaded.ablation.keep]
    of_sum = list_differences(metrics, SUM, key) if SUM in metrics else []
    if of_sum and sign * statistics.fmean(of_sum) > max(0.0, *gains.values()):
        return Selection(passed, loaded.select_all().summed)
    return Selection(passed, loaded.list_summed(passed))


def list_differences(metrics: SeedMetrics, name: str, key: str) -> list[float]:
    """Return the difference of a variant from the base in a metric for each seed; empty: a run does not have it.

    Args:
        metrics: Metrics of a study.
        name: Name of the variant.
        key: Key of the metric.
    """
    pairs = list(zip(metrics[name], metrics[BASE], strict=True))
    if not all(key in run for pair in pairs for run in pair):
        return []
    return [run[key] - base[key] for run, base in pairs]


def get_seed_metrics(comparison: Comparison) -> SeedMetrics:
    """Return the metrics of the runs of a study that is finished."""
    return {name: [run.metrics for run in runs.values()] for name, runs in comparison.runs.items()}


def read_seed_metrics(screening: LoadedStudy, folder: Path) -> SeedMetrics | None:
    """Return the metrics of the runs of a screening as their folders have them; None: some run is not evaluated yet.

    Args:
        screening: The study.
        folder: Its folder.
    """
    study = screening.study
    try:
        return {
            name: [read_result(Run(get_run_folder(folder, name, seed))).metrics for seed in study.seeds]
            for name in study.variants
        }
    except (OSError, ValueError):
        return None
