"""The plot of calibration."""

import pytest

from vaegan.applications.uncertainty import LEVELS
from vaegan.evaluate.report.calibration_plot import plot_calibration
from vaegan.evaluate.result import EvaluationResult

from ..studies import make_comparison
from .plot_reading import are_inside, get_curve, get_lines, get_ticks


def make_result(power: float) -> EvaluationResult:
    curves = {"calibration/level": list(LEVELS), "calibration/coverage": [level**power for level in LEVELS]}
    return EvaluationResult({}, {}, curves)


def test_coverage_is_drawn_over_the_level_beside_the_diagonal() -> None:
    (plot,) = plot_calibration(make_comparison((make_result(1), make_result(2)), (make_result(1), make_result(4))))
    assert are_inside(plot)
    xs, ys = get_ticks(plot.axes.xaxis), get_ticks(plot.axes.yaxis)
    places = dict(zip((0.0, *LEVELS, 1.0), get_curve(plot, "vae"), strict=True))
    assert places[0.0] == pytest.approx((xs["0"], ys["0"])) and places[1.0] == pytest.approx((xs["1"], ys["1"]))
    assert places[0.5] == pytest.approx((sum((xs["0"], xs["1"])) / 2, sum((ys["0"], ys["1"])) / 2))
    middle = dict(zip((0.0, *LEVELS, 1.0), get_curve(plot, "vaegan3"), strict=True))[0.5]
    assert middle[1] == pytest.approx(ys["0"] + (0.25 + 0.0625) / 2 * (ys["1"] - ys["0"])), "the seeds' mean"
    assert [(name, faint) for name, faint, _ in get_lines(plot)].count(("vae", True)) == 2
    diagonal = next(line for line in plot.axes.lines if list(line.get_xdata()) == [0, 1])
    assert list(diagonal.get_ydata()) == [0, 1]


def test_a_variant_without_it_is_named_and_a_study_without_it_has_no_plot() -> None:
    nothing = EvaluationResult({}, {})
    assert plot_calibration(make_comparison((nothing, nothing))) == []
    (plot,) = plot_calibration(make_comparison((nothing, make_result(1))))
    assert plot.note == "vae: no distribution of pixels."
    assert {name for name, _, _ in get_lines(plot)} == {"vaegan3"}
