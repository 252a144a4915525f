"""The plot of the power spectrum."""

import math
from itertools import pairwise

import pytest

from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.metrics.sharpness import band_frequencies
from vaegan.evaluate.report.spectrum_plot import plot_spectra, plot_spectrum

from .plot_reading import are_inside, get_curve, get_lines, get_ticks


def test_curves_are_where_their_power_is() -> None:
    curve = [(0.25, 0.0), (0.5, math.log(4))]
    plot = plot_spectrum("Power", {"a": [curve], "b": [[(x, -y) for x, y in curve]]})
    xs, ys = get_ticks(plot.axes.xaxis), get_ticks(plot.axes.yaxis)
    for name, last in (("a", "× 4"), ("b", "÷ 4")):
        first_place, last_place = get_curve(plot, name)
        assert first_place == pytest.approx((xs["0.25"], ys["real"]), abs=0.1)
        assert last_place == pytest.approx((xs["0.5"], ys[last]), abs=0.1)
    box = plot.axes.bbox
    assert box.y0 < ys["÷ 4"] < ys["÷ 2"] < ys["real"] < ys["× 2"] < ys["× 4"] <= box.y1
    level = next(line for line in plot.axes.lines if list(line.get_xdata()) == [0, 1])
    assert list(level.get_ydata()) == [0, 0], "the real images' line"
    for size in (0.01, 1.0, 5.0, 20.0):
        labels = get_ticks(plot_spectrum("", {"a": [[(0.25, 0.0), (0.5, size)]]}).axes.yaxis)
        assert 3 <= len(labels) <= 9
        assert "real" in labels


def test_seeds_are_faint_beside_their_mean() -> None:
    seeds = [[(0.25, 0.0), (0.5, 1.0)], [(0.25, 0.5), (0.5, 2.0)]]
    plot = plot_spectrum("Power", {"a": seeds, "b": seeds[:1]})
    lines = [(name, faint) for name, faint, _ in get_lines(plot)]
    assert lines == [("a", True), ("a", True), ("a", False), ("b", False)]
    other = plot_spectrum("Power", {"c": seeds, "a": [[(0.25, 0.25), (0.5, 1.5)]]})
    assert get_curve(plot, "a") == get_curve(other, "a")


@pytest.mark.parametrize("size", [8, 9, 16, 28, 32, 33, 64])
def test_no_spectrum_leaves_its_plot(size: int) -> None:
    plot = plot_spectrum("", {"a": [[(band, 0.1) for band in band_frequencies(size)]]})
    assert are_inside(plot)
    xs = [x for x, _ in get_curve(plot, "a")]
    assert all(before < after for before, after in pairwise(xs))


def test_a_study_has_a_plot_of_each_kind_of_images(study: Comparison) -> None:
    plots = plot_spectra(study)
    assert [plot.title for plot in plots] == ["Reconstructions", "Samples"]
    names = [{name for name, _, _ in get_lines(plot)} for plot in plots]
    assert names == [{"vae", "ae", "vaegan3"}, {"vae", "vaegan3"}]
    for plot, kind in zip(plots, ("reconstruction", "sample"), strict=True):
        seeds = [line for name, faint, line in get_lines(plot) if name == "vaegan3" and faint]
        results = study.evaluations["vaegan3"].values()
        for line, result in zip(seeds, results, strict=True):
            assert list(line.get_ydata()) == pytest.approx(result.curves[f"spectrum_error/{kind}"])
