"""The numbers of a comparison as CSV: UTF-8, comma, a header, numbers in full precision."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vaegan.io import write_text
from vaegan.losses.adversarial import CLASS_NAMES, GENERATED, PREDICTED_NAMES

from ..comparing.bootstrap import Estimate
from ..comparing.comparison import Comparison
from ..comparing.findings import Verdict
from ..descriptions import describe_metric
from ..result import EvaluationResult
from .control_rows import ControlRows

Cell = str | float | int | None
"""None, and what is not finite: an empty field."""

TABLES = METRICS_TABLE, VERDICTS_TABLE, EFFECTS_TABLE, CONTROLS_TABLE, CONFUSION_TABLE = (
    "figures.csv", "findings.csv", "effects.csv", "controls.csv", "confusion.csv",
)  # fmt: skip


def build_tables(comparison: Comparison, controls: ControlRows) -> dict[str, str]:
    """The text of each table, by the name of its file."""
    interval = ("low", "high", "p", "corrected_p")
    return {
        METRICS_TABLE: _csv(("variant", "seed", "figure", "value", "samples_from"), _runs(comparison)),
        VERDICTS_TABLE: _csv(
            ("variant", "reference", "images", "seeds", "answer", "headline", "figure", "difference", *interval),
            (row for finding in comparison.findings for row in _tests(finding)),
        ),
        EFFECTS_TABLE: _csv(
            ("variant", "reference", "figure", "difference", *interval, "cohens_d", "samples_from"),
            (
                (
                    each.variant,
                    each.reference,
                    each.key,
                    *_estimate(each.estimate),
                    each.corrected,
                    each.size,
                    _source(each.key, comparison.judged[each.variant][comparison.study.seeds[0]].evaluation),
                )
                for each in comparison.effects
            ),
        ),
        CONTROLS_TABLE: _csv(("control", "figure", "value", "seen", "answer"), _controls(comparison, controls)),
        CONFUSION_TABLE: _csv(
            ("variant", "seed", "images", "taken_for", "count", "samples_from"), _confusions(comparison)
        ),
    }


def write_tables(comparison: Comparison, controls: ControlRows, folder: Path) -> dict[str, str]:
    """Write each of the `build_tables` into a file; whoever looks finds whole files.

    Returns:
        As `build_tables`.
    """
    found = build_tables(comparison, controls)
    for name, text in found.items():
        write_text(folder / name, text)
    return found


def _runs(comparison: Comparison) -> Iterator[Sequence[Cell]]:
    for name in comparison.names:
        for key, spread in comparison.spreads(name).items():
            for seed, value in spread.seeds.items():
                yield name, seed, key, value, _source(key, comparison.judged[name][seed].evaluation)


def _tests(finding: Verdict) -> Iterator[Sequence[Cell]]:
    second = {"reconstruction": "coherence beyond noise of the same spectrum", "sample": "kurtosis gap"}[finding.kind]
    tests: list[tuple[str, Estimate | None, float | None]] = [
        ("spectrum error", finding.evidence.spectrum, finding.corrected[0]),
        (second, finding.evidence.second, finding.corrected[1]),
        (describe_metric(finding.evidence.measure).label, finding.evidence.distance, None),
    ]
    seeds = " ".join(map(str, finding.seeds))
    for name, found, corrected in tests:
        if found is not None:
            yield (
                finding.variant, finding.reference, finding.images, seeds, finding.answer, finding.headline, name,
                *_estimate(found), corrected,
            )  # fmt: skip


def _controls(comparison: Comparison, controls: ControlRows) -> Iterator[Sequence[Cell]]:
    """What real images score; of the sharpness figures also whether they see the defect, and the verdict on it."""
    judged = {
        (row.name, f"{kind}/{key}"): (int(key in row.seen), row.answer or "")
        for kind, rows in controls.items()
        for row in rows
        for key in row.values
    }
    for name, control in comparison.controls.items():
        for key, value in control.metrics.items():
            yield name, key, value, *judged.get((name, key), (None, None))
        for kind, rows in controls.items():
            for row in rows:
                if row.name == name:
                    yield name, f"{kind}/laplacian_ratio", row.ratio, None, None


def _confusions(comparison: Comparison) -> Iterator[Sequence[Cell]]:
    for name, evaluations in comparison.evaluations.items():
        for seed, evaluation in evaluations.items():
            matrix = evaluation.matrices.get("discriminator/confusion", [])
            for images, counts in zip(CLASS_NAMES, matrix, strict=False):
                for taken_for, count in zip(PREDICTED_NAMES[len(counts)], counts, strict=True):
                    yield name, seed, images, taken_for, count, _source(images, evaluation)


def _source(key: str, evaluation: EvaluationResult) -> str | None:
    """What the samples that a figure, or a row of a confusion, is about were drawn from; None: it is about others."""
    about = key == CLASS_NAMES[GENERATED] or key.startswith(("sample/", "discriminator/"))
    return evaluation.protocol["samples_from"] if about else None


def _estimate(found: Estimate) -> tuple[float, float, float, float]:
    return found.value, found.low, found.high, found.p


def _csv(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([None if isinstance(cell, float) and not math.isfinite(cell) else cell for cell in row]
                     for row in rows)  # fmt: skip
    return file.getvalue()
