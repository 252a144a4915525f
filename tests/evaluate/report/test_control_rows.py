"""Rows of the negative controls."""

from dataclasses import replace

import pytest
from torch import Tensor

from vaegan.evaluate.comparing.bootstrap import Estimate
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.report import control_rows
from vaegan.evaluate.report.control_rows import build_control_rows

from ..distortions import add_checkerboard, add_noise, blur, evaluate, oversharpen
from .reports import NAMES


def test_controls_see_every_defect_and_the_laplacian_takes_noise_for_sharpness(
    photos: Tensor, hostile_study: Comparison
) -> None:
    defects = {
        "real images": lambda images: images,
        "blurred": lambda images: blur(images, 0.7),
        "noisy": lambda images: add_noise(images, 0.1),
        "checkered": lambda images: add_checkerboard(images, 0.05),
        "over-sharpened": lambda images: oversharpen(images, 1.5),
    }
    comparison = replace(hostile_study, controls={name: evaluate(photos, defect) for name, defect in defects.items()})
    for kind, rows in build_control_rows(comparison).items():
        row_of = {row.name: row for row in rows}
        drawn = [name for name in hostile_study.names if kind == "reconstruction" or name != NAMES["ae"]]
        assert list(row_of) == [*defects, *drawn]
        assert row_of["real images"].ratio == pytest.approx(1)
        assert row_of["real images"].detected == frozenset()
        assert row_of["real images"].answer is None
        for name in list(defects)[1:]:
            assert "spectrum_error" in row_of[name].detected, (kind, name)
            assert row_of[name].answer == "less sharp"
        assert row_of["blurred"].ratio < 0.5
        assert all(row_of[name].ratio > 1.5 for name in ("noisy", "checkered", "over-sharpened"))
        assert ("coherence" in row_of["noisy"].detected) == (kind == "reconstruction")
        value = row_of["noisy"].values["spectrum_error"]
        assert value == comparison.controls["noisy"].metrics[f"{kind}/spectrum_error"]


def test_a_defect_is_seen_only_where_the_whole_interval_is_worse(
    hostile_study: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    increases = {
        "spectrum_error": Estimate(0.1, 0.02, 0.06, 0.14, 0.0),
        "kurtosis_gap": Estimate(0.1, 0.1, -0.1, 0.3, 0.3),
    }
    monkeypatch.setattr(control_rows, "estimate_increase", lambda *_: increases)
    rows = {row.name: row for row in build_control_rows(hostile_study)["sample"]}
    assert rows["noisy"].detected == {"spectrum_error"}
    assert rows["real images"].detected == frozenset()
