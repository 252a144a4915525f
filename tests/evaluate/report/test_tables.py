"""The CSV files beside a report."""

import base64
import csv
import io
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from vaegan.evaluate.comparing.bootstrap import Estimate
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.report import control_rows as control_rows_file
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

from ..controls import blur, checkered, judge, noisy, oversharpened
from .reports import HOSTILE, NAMES, Outline, plain_study, report_of, reworded


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return reworded(plain_study(tmp_path_factory.mktemp("study")), NAMES, HOSTILE)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), strict=True))


def test_the_files_hold_every_number_of_the_comparison(study: Comparison, tmp_path: Path) -> None:
    page = report_of(study, tmp_path)
    names = (METRICS_TABLE, VERDICTS_TABLE, EFFECTS_TABLE, CONTROLS_TABLE, CONFUSION_TABLE)
    found = {name: read((tmp_path / name).read_text(encoding="utf-8")) for name in names}

    figures = {(row["variant"], int(row["seed"]), row["figure"]): float(row["value"]) for row in found[METRICS_TABLE]}
    judged = {(name, seed): run for name, runs in study.judged.items() for seed, run in runs.items()}
    assert figures == {(*key, figure): value for key, run in judged.items() for figure, value in run.figures.items()}
    assert len(found[METRICS_TABLE]) == len(figures)

    effects = {(row["variant"], row["reference"], row["figure"]): row for row in found[EFFECTS_TABLE]}
    assert len(effects) == len(study.effects) > 0
    for effect in study.effects:
        row = effects[effect.variant, effect.reference, effect.key]
        numbers = [float(row[key]) for key in ("difference", "low", "high", "p", "corrected_p")]
        assert numbers == [
            effect.estimate.value, effect.estimate.low, effect.estimate.high, effect.estimate.p, effect.corrected
        ]  # fmt: skip
        assert effect.size == float(row["cohens_d"])

    assert study.findings
    for finding in study.findings:
        rows = [row for row in found[VERDICTS_TABLE] if row["headline"] == finding.headline]
        assert {row["answer"] for row in rows} == {finding.answer}
        tests = [*finding.evidence.tests, *([finding.evidence.distance] if finding.evidence.distance else [])]
        assert [float(row["difference"]) for row in rows] == [test.value for test in tests]
        assert [float(row["corrected_p"]) for row in rows[:2]] == list(finding.corrected)
        assert {row["seeds"] for row in rows} == {"5 6"}

    controls = {(row["control"], row["figure"]): float(row["value"]) for row in found[CONTROLS_TABLE]}
    for name, control in study.controls.items():
        assert {key: controls[name, key] for key in control.metrics} == control.metrics
        assert controls[name, "sample/laplacian_ratio"] == compute_laplacian_ratio(control, "sample")
    seen = {(row["control"], row["figure"]): (row["seen"], row["answer"]) for row in found[CONTROLS_TABLE]}
    for kind, rows in build_control_rows(study).items():
        for row in [row for row in rows if not row.variant]:
            for key in row.values:
                assert seen[row.name, f"{kind}/{key}"] == (str(int(key in row.seen)), row.answer or "")

    for name, runs in study.evaluations.items():
        for seed, evaluation in runs.items():
            counts = [
                int(row["count"])
                for row in found[CONFUSION_TABLE]
                if (row["variant"], row["seed"]) == (name, str(seed))
            ]
            matrix = evaluation.matrices.get("discriminator/confusion", [])
            assert counts == [count for row in matrix for count in row]

    links = {str(link["download"]): str(link["href"]) for link in Outline(page).all("a") if "download" in link}
    assert links.keys() == found.keys()
    for name, link in links.items():
        assert re.match("data:text/csv;", link)
        assert base64.b64decode(link.partition(",")[2]) == (tmp_path / name).read_bytes()


def test_what_is_not_finite_is_an_empty_field(study: Comparison) -> None:
    unsure = Estimate(0.5, math.inf, -math.inf, math.inf, 1.0)
    finding = study.findings[0]
    known = replace(finding, evidence=replace(finding.evidence, spectrum=unsure))
    comparison = replace(study)
    comparison.__dict__["findings"] = [known]
    row = read(build_tables(comparison, {})[VERDICTS_TABLE])[0]
    assert (row["difference"], row["low"], row["high"]) == ("0.5", "", "")


def test_a_table_is_replaced_as_a_whole(study: Comparison, tmp_path: Path) -> None:
    (tmp_path / METRICS_TABLE).write_text("old")
    controls = build_control_rows(study)
    assert write_tables(study, controls, tmp_path) == build_tables(study, controls)
    assert (tmp_path / METRICS_TABLE).read_text() == build_tables(study, controls)[METRICS_TABLE]
    assert {path.name for path in tmp_path.iterdir()} == {
        METRICS_TABLE,
        VERDICTS_TABLE,
        EFFECTS_TABLE,
        CONTROLS_TABLE,
        CONFUSION_TABLE,
    }


def test_controls_see_every_defect_and_the_laplacian_takes_noise_for_sharpness(
    photos: Tensor, study: Comparison
) -> None:
    defects = {
        "real images": lambda images: images,
        "blurred": lambda images: blur(images, 0.7),
        "noisy": lambda images: noisy(images, 0.1),
        "checkered": lambda images: checkered(images, 0.05),
        "over-sharpened": lambda images: oversharpened(images, 1.5),
    }
    comparison = replace(study, controls={name: judge(photos, defect) for name, defect in defects.items()})
    for kind, rows in build_control_rows(comparison).items():
        found = {row.name: row for row in rows}
        drawn = [name for name in study.names if kind == "reconstruction" or name != NAMES["ae"]]
        assert list(found) == [*defects, *drawn]
        assert found["real images"].ratio == pytest.approx(1)
        assert found["real images"].seen == frozenset()
        assert found["real images"].answer is None
        for name in list(defects)[1:]:
            assert "spectrum_error" in found[name].seen, (kind, name)
            assert found[name].answer == "less sharp"
        assert found["blurred"].ratio < 0.5
        assert all(found[name].ratio > 1.5 for name in ("noisy", "checkered", "over-sharpened"))
        assert ("coherence" in found["noisy"].seen) == (kind == "reconstruction")
        value = found["noisy"].values["spectrum_error"]
        assert value == comparison.controls["noisy"].metrics[f"{kind}/spectrum_error"]


def test_a_defect_is_seen_only_where_the_whole_interval_is_worse(
    study: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"spectrum_error": Estimate(0.1, 0.02, 0.06, 0.14, 0.0), "kurtosis_gap": Estimate(0.1, 0.1, -0.1, 0.3, 0.3)}
    monkeypatch.setattr(control_rows_file, "estimate_increase", lambda *_: found)
    rows = {row.name: row for row in build_control_rows(study)["sample"]}
    assert rows["noisy"].seen == {"spectrum_error"}
    assert rows["real images"].seen == frozenset()
