"""Write the numbers of a comparison as CSV: UTF-8, comma, a header, numbers in full precision."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vaegan.io import write_text
from vaegan.losses.adversarial import CONFUSION_COLUMNS, GENERATED, ORIGINS

from ..comparing.bootstrap import Estimate
from ..comparing.comparison import Comparison
from ..metric_descriptions import SAMPLE_PREFIXES, describe_metric
from ..result import EvaluationResult
from .control_rows import ControlRows

CSVCell = str | float | int | None
"""Value of a field; None, infinity and NaN are written as an empty field."""

TABLES = METRICS_TABLE, VERDICTS_TABLE, EFFECTS_TABLE, CONTROLS_TABLE, CONFUSION_TABLE = (
    "figures.csv", "findings.csv", "effects.csv", "controls.csv", "confusion.csv",
)  # fmt: skip


def build_tables(comparison: Comparison, controls: ControlRows) -> dict[str, str]:
    """Return the text of each table by the name of its file.

    Args:
        comparison: The study.
        controls: Rows of the negative controls, for each kind of images.
    """
    values = "difference low high p corrected_p"
    tables = {
        METRICS_TABLE: ("variant seed figure value samples_from", _iterate_metrics(comparison)),
        VERDICTS_TABLE: (f"variant reference images seeds answer headline figure {values}", _iterate_tests(comparison)),
        EFFECTS_TABLE: (f"variant reference figure {values} cohens_d samples_from", _iterate_effects(comparison)),
        CONTROLS_TABLE: ("control figure value seen answer", _iterate_controls(comparison, controls)),
        CONFUSION_TABLE: ("variant seed images taken_for count samples_from", _iterate_confusions(comparison)),
    }
    return {name: format_csv(header.split(), rows) for name, (header, rows) in tables.items()}


def write_tables(comparison: Comparison, controls: ControlRows, folder: Path) -> dict[str, str]:
    """Write each table into a file, which is replaced as a whole, and return the texts by the names of the files.

    Args:
        comparison: The study.
        controls: Rows of the negative controls, for each kind of images.
        folder: Folder of the files.
    """
    tables = build_tables(comparison, controls)
    for name, text in tables.items():
        write_text(folder / name, text)
    return tables


def _iterate_metrics(comparison: Comparison) -> Iterator[Sequence[CSVCell]]:
    for name in comparison.names:
        for key, spread in comparison.get_spreads(name).items():
            for seed, value in spread.seeds.items():
                yield name, seed, key, value, _get_sample_source(key, comparison.runs[name][seed].evaluation)


def _iterate_tests(comparison: Comparison) -> Iterator[Sequence[CSVCell]]:
    second_tests = {"reconstruction": "coherence beyond noise of the same spectrum", "sample": "kurtosis gap"}
    for verdict in comparison.verdicts:
        evidence, seeds = verdict.evidence, " ".join(map(str, verdict.seeds))
        start = verdict.variant, verdict.reference, verdict.images, seeds, verdict.answer, verdict.headline
        yield *start, "spectrum error", *_list_numbers(evidence.spectrum), verdict.corrected[0]
        yield *start, second_tests[verdict.kind], *_list_numbers(evidence.second), verdict.corrected[1]
        if evidence.distance is not None:
            yield *start, describe_metric(evidence.measure).label, *_list_numbers(evidence.distance), None


def _iterate_effects(comparison: Comparison) -> Iterator[Sequence[CSVCell]]:
    for effect in comparison.effects:
        source = _get_sample_source(effect.key, comparison.runs[effect.variant][comparison.study.seeds[0]].evaluation)
        numbers = _list_numbers(effect.estimate)
        yield effect.variant, effect.reference, effect.key, *numbers, effect.corrected, effect.size, source


def _iterate_controls(comparison: Comparison, controls: ControlRows) -> Iterator[Sequence[CSVCell]]:
    """Yield the metrics of real images; for sharpness also whether the metric detects the defect, and the verdict."""
    detections = {
        (row.name, f"{kind}/{key}"): (int(key in row.detected), row.answer or "")
        for kind, rows in controls.items()
        for row in rows
        for key in row.values
    }
    for name, control in comparison.controls.items():
        for key, value in control.metrics.items():
            yield name, key, value, *detections.get((name, key), (None, None))
        for kind, rows in controls.items():
            for row in rows:
                if row.name == name:
                    yield name, f"{kind}/laplacian_ratio", row.ratio, None, None


def _iterate_confusions(comparison: Comparison) -> Iterator[Sequence[CSVCell]]:
    for name, evaluations in comparison.evaluations.items():
        for seed, evaluation in evaluations.items():
            matrix = evaluation.matrices.get("discriminator/confusion", [])
            rows = evaluation.protocol["confusion"]["rows"] if matrix else ()
            for images, counts in zip(rows, matrix, strict=True):
                for taken_for, count in zip(CONFUSION_COLUMNS[len(counts)], counts, strict=True):
                    yield name, seed, images, taken_for, count, _get_sample_source(images, evaluation)


def _get_sample_source(key: str, evaluation: EvaluationResult) -> str | None:
    """Return what the samples behind a metric or a row of a confusion matrix were drawn from; None for other images."""
    of_samples = key == ORIGINS[GENERATED] or key.startswith(SAMPLE_PREFIXES)
    return evaluation.protocol["samples_from"] if of_samples else None


def _list_numbers(estimate: Estimate) -> tuple[float, float, float, float]:
    return estimate.value, estimate.low, estimate.high, estimate.p


def format_csv(header: Sequence[str], rows: Iterable[Sequence[CSVCell]]) -> str:
    """Return a table as CSV; None, infinity and NaN become empty fields."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([None if isinstance(cell, float) and not math.isfinite(cell) else cell for cell in row]
                     for row in rows)  # fmt: skip
    return file.getvalue()
