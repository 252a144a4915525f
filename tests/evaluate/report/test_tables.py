"""The CSV files beside a report."""

import base64
import csv
import io
import math
import re
from dataclasses import replace
from pathlib import Path

from vaegan.evaluate.comparing.bootstrap import Estimate
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.report.control_rows import build_control_rows, compute_laplacian_ratio
from vaegan.evaluate.report.tables import (
    CONFUSION_TABLE,
    CONTROLS_TABLE,
    EFFECTS_TABLE,
    METRICS_TABLE,
    VERDICTS_TABLE,
    build_tables,
    write_tables,
)

from .reports import Outline, write_page


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), strict=True))


def test_the_files_hold_every_number_of_the_comparison(hostile_study: Comparison, tmp_path: Path) -> None:
    page = write_page(hostile_study, tmp_path)
    names = (METRICS_TABLE, VERDICTS_TABLE, EFFECTS_TABLE, CONTROLS_TABLE, CONFUSION_TABLE)
    tables = {name: read((tmp_path / name).read_text(encoding="utf-8")) for name in names}

    metrics = {(row["variant"], int(row["seed"]), row["figure"]): float(row["value"]) for row in tables[METRICS_TABLE]}
    run_of = {(name, seed): run for name, runs in hostile_study.runs.items() for seed, run in runs.items()}
    assert metrics == {(*key, metric): value for key, run in run_of.items() for metric, value in run.metrics.items()}
    assert len(tables[METRICS_TABLE]) == len(metrics)

    effects = {(row["variant"], row["reference"], row["figure"]): row for row in tables[EFFECTS_TABLE]}
    assert len(effects) == len(hostile_study.effects) > 0
    for effect in hostile_study.effects:
        row = effects[effect.variant, effect.reference, effect.key]
        numbers = [float(row[key]) for key in ("difference", "low", "high", "p", "corrected_p")]
        assert numbers == [
            effect.estimate.value, effect.estimate.low, effect.estimate.high, effect.estimate.p, effect.corrected
        ]  # fmt: skip
        assert effect.size == float(row["cohens_d"])

    assert hostile_study.verdicts
    for verdict in hostile_study.verdicts:
        rows = [row for row in tables[VERDICTS_TABLE] if row["headline"] == verdict.headline]
        assert {row["answer"] for row in rows} == {verdict.answer}
        tests = [*verdict.evidence.tests, *([verdict.evidence.distance] if verdict.evidence.distance else [])]
        assert [float(row["difference"]) for row in rows] == [test.value for test in tests]
        assert [float(row["corrected_p"]) for row in rows[:2]] == list(verdict.corrected)
        assert {row["seeds"] for row in rows} == {"5 6"}

    controls = {(row["control"], row["figure"]): float(row["value"]) for row in tables[CONTROLS_TABLE]}
    for name, control in hostile_study.controls.items():
        assert {key: controls[name, key] for key in control.metrics} == control.metrics
        assert controls[name, "sample/laplacian_ratio"] == compute_laplacian_ratio(control, "sample")
    seen = {(row["control"], row["figure"]): (row["seen"], row["answer"]) for row in tables[CONTROLS_TABLE]}
    for kind, rows in build_control_rows(hostile_study).items():
        for row in [row for row in rows if not row.variant]:
            for key in row.values:
                assert seen[row.name, f"{kind}/{key}"] == (str(int(key in row.detected)), row.answer or "")

    for name, runs in hostile_study.evaluations.items():
        for seed, evaluation in runs.items():
            counts = [
                int(row["count"])
                for row in tables[CONFUSION_TABLE]
                if (row["variant"], row["seed"]) == (name, str(seed))
            ]
            matrix = evaluation.matrices.get("discriminator/confusion", [])
            assert counts == [count for row in matrix for count in row]

    links = {str(link["download"]): str(link["href"]) for link in Outline(page).all("a") if "download" in link}
    assert links.keys() == tables.keys()
    for name, link in links.items():
        assert re.match("data:text/csv;", link)
        assert base64.b64decode(link.partition(",")[2]) == (tmp_path / name).read_bytes()


def test_what_is_not_finite_is_an_empty_field(hostile_study: Comparison) -> None:
    unsure = Estimate(0.5, math.inf, -math.inf, math.inf, 1.0)
    verdict = hostile_study.verdicts[0]
    changed = replace(verdict, evidence=replace(verdict.evidence, spectrum=unsure))
    comparison = replace(hostile_study)
    comparison.__dict__["verdicts"] = [changed]
    row = read(build_tables(comparison, {})[VERDICTS_TABLE])[0]
    assert (row["difference"], row["low"], row["high"]) == ("0.5", "", "")


def test_a_table_is_replaced_as_a_whole(hostile_study: Comparison, tmp_path: Path) -> None:
    (tmp_path / METRICS_TABLE).write_text("old")
    controls = build_control_rows(hostile_study)
    assert write_tables(hostile_study, controls, tmp_path) == build_tables(hostile_study, controls)
    assert (tmp_path / METRICS_TABLE).read_text() == build_tables(hostile_study, controls)[METRICS_TABLE]
    assert {path.name for path in tmp_path.iterdir()} == {
        METRICS_TABLE,
        VERDICTS_TABLE,
        EFFECTS_TABLE,
        CONTROLS_TABLE,
        CONFUSION_TABLE,
    }
