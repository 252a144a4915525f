"""The plots of what was logged while training."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.report import training_plots
from vaegan.evaluate.report.training_plots import plot_training, read_curves, thin
from vaegan.storage.run_folder import Run

from ...tiny import tiny
from .plot_reading import are_inside, get_lines, get_ticks


def test_training_curves_are_the_histories(study: Comparison, tmp_path: Path) -> None:
    run = study.runs["vaegan3"][5]
    lines = [json.loads(line) for line in run.run.history_file.read_text().splitlines()]
    curves = read_curves(run.run, run.config, print)
    assert curves["Divergence from the prior"] == [(8.0 * n["step"], n["loss/kl"] / math.log(2)) for n in lines]
    assert curves["Squared error"] == [(8.0 * n["step"], n["reconstruction/mse"]) for n in lines]
    assert [value for _, value in curves["Discriminator’s accuracy"]] == [n["discriminator/accuracy"] for n in lines]
    assert "Divergence from the prior" not in read_curves(study.runs["ae"][5].run, study.runs["ae"][5].config, print)

    plots = {plot.title: plot for plot in plot_training(study, print)}
    assert list(plots) == ["Squared error", "Divergence from the prior", "Discriminator’s accuracy"]
    assert all(are_inside(plot) for plot in plots.values())
    drawn = [(name, faint) for name, faint, _ in get_lines(plots["Squared error"])]
    assert drawn == [(name, faint) for name in study.names for faint in (True, True, False)]
    assert {name for name, _, _ in get_lines(plots["Discriminator’s accuracy"])} == {"vaegan3"}
    seed = get_lines(plots["Divergence from the prior"])[-3][2]
    assert [tuple(point) for point in seed.get_xydata()] == curves["Divergence from the prior"]

    torn = Run(tmp_path)
    torn.history_file.write_text('{"step": 1, "loss/kl": null, "reconstruction/mse": 0.25}\n{"step": 2, "los')
    assert list(read_curves(torn, run.config, print)) == ["Squared error"]


@pytest.mark.parametrize(
    ("errors", "labels"),
    [
        ((1.0, 0.033), ["0.05", "0.1", "0.2", "0.5", "1"]),
        ((1.0, 0.005), ["0.01", "0.03", "0.1", "0.3", "1"]),
        ((1.0, 0.0009), ["0.001", "0.01", "0.1", "1"]),
        ((0.042, 0.031), ["0.03", "0.035", "0.04", "0.045"]),
    ],
)
def test_the_squared_error_has_a_logarithmic_axis_with_few_round_ticks(
    errors: tuple[float, float], labels: list[str], study: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve = {"Squared error": [(0.0, errors[0]), (1500.0, errors[1])]}
    monkeypatch.setattr(training_plots, "read_curves", lambda *_: curve)
    (plot,) = plot_training(replace(study, runs={"vae": study.runs["vae"]}), print)
    assert list(get_ticks(plot.axes.yaxis)) == labels
    middle = plot.axes.transData.transform([(0, math.sqrt(errors[0] * errors[1]))])[0][1]
    assert middle == pytest.approx((plot.axes.bbox.y0 + plot.axes.bbox.y1) / 2), "the scale is logarithmic"
    assert list(get_ticks(plot.axes.xaxis)) == ["0", "500", "1k", "1.5k"]
    shorten = plot.axes.xaxis.get_major_formatter()
    assert [shorten(value) for value in (0, 950, 1500, 3_200_000)] == ["0", "950", "1.5k", "3.2M"]


@pytest.mark.parametrize("text", [None, "", "[1]"])
def test_a_history_that_cannot_be_read_is_noted(text: str | None, tmp_path: Path) -> None:
    run, notes = Run(tmp_path), list[str]()
    if text is not None:
        run.history_file.write_text(text)
    assert read_curves(run, tiny("vae"), notes.append) == {}
    assert len(notes) == 1 and str(run.history_file) in notes[0] and "curves are left out" in notes[0]


def test_curves_are_thinned_without_bias() -> None:
    curve = [(float(x), 3.0 * x) for x in range(1000)]
    thinned = thin(curve, 100)
    assert len(thinned) == 100
    assert all(y == pytest.approx(3 * x) for x, y in thinned)
    assert thin(curve[:5], 100) == curve[:5]
