"""The numbers of a comparison as CSV: UTF-8, comma, a header, numbers in full precision."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vaegan.checkpoints import write_text
from vaegan.losses.adversarial import GENERATED, NAMES, PREDICTED

from ..comparing.comparison import Comparison
from ..comparing.findings import Finding
from ..comparing.resampling import Estimate
from ..evaluation import Evaluation
from ..figures import figure
from .control_rows import ControlRows

Cell = str | float | int | None
"""None, and what is not finite: an empty field."""

TABLES = RUNS, FINDINGS, EFFECTS, CONTROLS, CONFUSION = (
    "figures.csv", "findings.csv", "effects.csv", "controls.csv", "confusion.csv",
)  # fmt: skip


def tables(comparison: Comparison, controls: ControlRows) -> dict[str, str]:
    """The text of each table, by the name of its file."""
    interval = ("low", "high", "p", "corrected_p")
    return {
        RUNS: _csv(("variant", "seed", "figure", "value", "samples_from"), _runs(comparison)),
        FINDINGS: _csv(
            ("variant", "reference", "images", "seeds", "answer", "headline", "figure", "difference", *interval),
            (row for finding in comparison.findings for row in _tests(finding)),
        ),
        EFFECTS: _csv(
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
        CONTROLS: _csv(("control", "figure", "value", "seen", "answer"), _controls(comparison, controls)),
        CONFUSION: _csv(("variant", "seed", "images", "taken_for", "count", "samples_from"), _confusions(comparison)),
    }


def write_tables(comparison: Comparison, controls: ControlRows, folder: Path) -> dict[str, str]:
    """Write each of the `tables` into a file; whoever looks finds whole files.

    Returns:
        As `tables`.
    """
    found = tables(comparison, controls)
    for name, text in found.items():
        write_text(folder / name, text)
    return found


def _runs(comparison: Comparison) -> Iterator[Sequence[Cell]]:
    for name in comparison.names:
        for key, spread in comparison.spreads(name).items():
            for seed, value in spread.seeds.items():
                yield name, seed, key, value, _source(key, comparison.judged[name][seed].evaluation)


def _tests(finding: Finding) -> Iterator[Sequence[Cell]]:
    second = {"reconstruction": "coherence beyond noise of the same spectrum", "sample": "kurtosis gap"}[finding.kind]
    tests: list[tuple[str, Estimate | None, float | None]] = [
        ("spectrum error", finding.evidence.spectrum, finding.corrected[0]),
        (second, finding.evidence.second, finding.corrected[1]),
        (figure(finding.evidence.measure).label, finding.evidence.distance, None),
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
            for images, counts in zip(NAMES, matrix, strict=False):
                for taken_for, count in zip(PREDICTED[len(counts)], counts, strict=True):
                    yield name, seed, images, taken_for, count, _source(images, evaluation)


def _source(key: str, evaluation: Evaluation) -> str | None:
    """What the samples that a figure, or a row of a confusion, is about were drawn from; None: it is about others."""
    about = key == NAMES[GENERATED] or key.startswith(("sample/", "discriminator/"))
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
