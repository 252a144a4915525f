"""The geometry of the report's plots."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.metrics.sharpness import band_frequencies
from vaegan.evaluate.report.plots import Plot, across, averaged, short, ticks, up
from vaegan.evaluate.report.spectrum_plot import spectrum_plot
from vaegan.evaluate.report.tradeoff_plots import tradeoff_plots
from vaegan.evaluate.report.training_plots import curves, thinned, training_plots
from vaegan.storage.runs import Run

from ...tiny import tiny
from .reports import plain_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return plain_study(tmp_path_factory.mktemp("study"))


def points(plot: Plot, name: str) -> list[tuple[float, float]]:
    line = next(line for line in plot.lines if line.name == name and not line.faint)
    return [tuple(map(float, point.split(","))) for point in line.points.split()]  # type: ignore[misc]


def inside(plot: Plot) -> bool:
    places = [point for line in plot.lines for point in points(plot, line.name)]
    places += [(mark.x, mark.y) for mark in plot.marks]
    return bool(places) and all(
        plot.left <= x <= plot.right + 0.1 and plot.top - 0.1 <= y <= plot.bottom + 0.1 for x, y in places
    )


def test_curves_are_where_their_power_is() -> None:
    curve = [(0.25, 0.0), (0.5, math.log(4))]
    plot = spectrum_plot("Power", {"a": [curve], "b": [[(place, -e) for place, e in curve]]})
    marks, along = ({tick.label: tick.place for tick in axis} for axis in (plot.up, plot.across))
    for name, last in (("a", "× 4"), ("b", "÷ 4")):
        found = points(plot, name)
        assert found[0] == pytest.approx((along["0.25"], marks["real"]), abs=0.1)
        assert found[1] == pytest.approx((along["0.5"], marks[last]), abs=0.1)
    assert plot.top <= marks["× 4"] < marks["× 2"] < marks["real"] < marks["÷ 2"] < plot.bottom
    for size in (0.01, 1.0, 5.0, 20.0):
        labels = [tick.label for tick in spectrum_plot("", {"a": [[(0.25, 0.0), (0.5, size)]]}).up]
        assert 3 <= len(labels) <= 9
        assert "real" in labels


def test_seeds_are_faint_beside_their_mean() -> None:
    seeds = [[(0.25, 0.0), (0.5, 1.0)], [(0.25, 0.5), (0.5, 2.0)]]
    plot = spectrum_plot("Power", {"a": seeds, "b": seeds[:1]})
    assert [(line.name, line.faint) for line in plot.lines] == [("a", True), ("a", True), ("a", False), ("b", False)]
    assert points(plot, "a") == points(spectrum_plot("Power", {"c": seeds, "a": [[(0.25, 0.25), (0.5, 1.5)]]}), "a")


@pytest.mark.parametrize("size", [8, 9, 16, 28, 32, 33, 64])
def test_no_spectrum_leaves_its_plot(size: int) -> None:
    bands = band_frequencies(size)
    plot = spectrum_plot("", {"a": [[(band, 0.1) for band in bands]]})
    assert inside(plot)
    xs = [x for x, _ in points(plot, "a")]
    assert all(before < after for before, after in pairwise(xs))


def test_ticks_are_round_and_few() -> None:
    assert [tick.label for tick in ticks(across(0, 10))] == ["0", "2", "4", "6", "8", "10"]
    assert [tick.label for tick in ticks(across(-0.3, 0.1))] == ["−0.3", "−0.2", "−0.1", "0.0", "0.1"]
    assert [tick.label for tick in ticks(across(0, 1200))] == ["0", "200", "400", "600", "800", "1,000", "1,200"]
    assert [tick.label for tick in ticks(up(0.03, 1.1, logarithmic=True))] == ["0.05", "0.1", "0.2", "0.5", "1"]
    scale = up(0.01, 1, logarithmic=True)
    assert scale(0.1) == pytest.approx((scale(0.01) + scale(1)) / 2)
    assert [short(value) for value in (0, 950, 1500, 3_200_000)] == ["0", "950", "1.5k", "3.2M"]


def test_training_curves_are_the_histories(study: Comparison, tmp_path: Path) -> None:
    run = study.judged["vaegan3"][5]
    lines = [json.loads(line) for line in run.run.history_file.read_text().splitlines()]
    found = curves(run.run, run.config, print)
    assert found["Divergence from the prior"] == [(8.0 * n["step"], n["loss/kl"] / math.log(2)) for n in lines]
    assert found["Squared error"] == [(8.0 * n["step"], n["reconstruction/mse"]) for n in lines]
    assert [value for _, value in found["Discriminator’s accuracy"]] == [n["discriminator/accuracy"] for n in lines]
    assert "Divergence from the prior" not in curves(study.judged["ae"][5].run, study.judged["ae"][5].config, print)

    plots = {plot.title: plot for plot in training_plots(study, print)}
    assert list(plots) == ["Squared error", "Divergence from the prior", "Discriminator’s accuracy"]
    assert all(inside(plot) for plot in plots.values())
    drawn = [(line.name, line.faint) for line in plots["Squared error"].lines]
    assert drawn == [(name, faint) for name in study.names for faint in (True, True, False)]
    assert {line.name for line in plots["Discriminator’s accuracy"].lines} == {"vaegan3"}

    torn = Run(tmp_path)
    torn.history_file.write_text('{"step": 1, "loss/kl": null, "reconstruction/mse": 0.25}\n{"step": 2, "los')
    assert list(curves(torn, run.config, print)) == ["Squared error"]


@pytest.mark.parametrize("text", [None, "", "[1]"])
def test_a_history_that_cannot_be_read_is_noted(text: str | None, tmp_path: Path) -> None:
    run, notes = Run(tmp_path), list[str]()
    if text is not None:
        run.history_file.write_text(text)
    assert curves(run, tiny("vae"), notes.append) == {}
    assert len(notes) == 1 and str(run.history_file) in notes[0] and "curves are left out" in notes[0]


def test_curves_are_thinned_and_averaged_without_bias() -> None:
    line = [(float(x), 3.0 * x) for x in range(1000)]
    few = thinned(line, 100)
    assert len(few) == 100
    assert all(y == pytest.approx(3 * x) for x, y in few)
    assert thinned(line[:5], 100) == line[:5]
    assert averaged([[(1.0, 2.0), (2.0, 4.0)], [(1.0, 4.0), (3.0, 1.0)]]) == [(1.0, 3.0)]


def test_rate_distortion_and_perception(study: Comparison) -> None:
    rate, perception = tradeoff_plots(study)
    assert (rate.across_title, rate.up_title) == ("rate, bits per image", "PSNR, dB ↑")
    assert (perception.across_title, perception.up_title) == ("PSNR, dB ↑", "spectrum error ↓")
    assert inside(rate) and inside(perception)
    assert [mark.name for mark in rate.marks if not mark.faint] == study.names
    assert len(rate.marks) == 3 * len(study.names)
    for plot in (rate, perception):
        for name in study.names:
            *seeds, mean = [(mark.x, mark.y) for mark in plot.marks if mark.name == name]
            assert mean == pytest.approx([sum(values) / 2 for values in zip(*seeds, strict=True)])
    places = {mark.name: mark.x for mark in rate.marks if not mark.faint}
    assert rate.edge is not None
    assert places["ae"] > rate.edge > max(places["vae"], places["vaegan3"])
    assert "ae" in rate.note and "unknown" in next(mark.title for mark in rate.marks if mark.name == "ae")
    higher = max(("vae", "vaegan3"), key=lambda name: study.spreads(name)["rate"].mean)
    assert places[higher] == max(places["vae"], places["vaegan3"])

    without = replace(study, judged={"ae": study.judged["ae"]})
    assert [plot.title for plot in tradeoff_plots(without)] == ["Distortion and perception"]
