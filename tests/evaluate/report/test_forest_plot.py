"""Forest plots: where the marks and intervals of an ablation's effects are."""

import math
from pathlib import Path

import pytest
from PIL import Image

from vaegan.evaluate.comparing.bootstrap import Estimate
from vaegan.evaluate.comparing.verdicts import Effect
from vaegan.evaluate.metric_descriptions import describe_metric
from vaegan.evaluate.report.forest_plot import plot_effects
from vaegan.evaluate.report.plot_files import write_plot


def make_effect(name: str, value: float, margin: float) -> Effect:
    return Effect(
        name, "base", "sample/kid", Estimate(value, margin / 2, value - margin, value + margin, 0.5), 0.5, None
    )


def test_every_effect_has_its_mark_and_its_interval_in_its_row(tmp_path: Path) -> None:
    names = ["a", "<b>", "sum"]
    effects = {
        "screen": [make_effect("a", -2.0, 0.5), make_effect("<b>", 1.0, math.inf), make_effect("sum", 0.5, 3.0)],
        "confirm": [make_effect("a", -1.0, 0.25)],
    }
    plot = plot_effects(describe_metric("sample/kid"), effects, names)
    lines = {(str(line.get_label()).partition(":")[0], len(line.get_xdata())): line for line in plot.axes.lines}
    for phase, words in (("screen", "screening"), ("confirm", "confirmation")):
        for effect in effects[phase]:
            label, estimate = f"{effect.variant}, {words}", effect.estimate
            (x,), (y,) = lines[label, 1].get_data()
            assert x == estimate.value and round(y) == names.index(effect.variant)
            if math.isinf(estimate.error):
                assert (label, 2) not in lines
            else:
                (low, high), (start, end) = lines[label, 2].get_data()
                assert (low, high) == (estimate.low, estimate.high) and start == end == y
    low, high = plot.axes.get_xlim()
    assert low < -2.5 and high > 3.5 and plot.axes.get_ylim()[0] > plot.axes.get_ylim()[1], "the first row is on top"
    assert "&lt;b&gt;, screening: +1.00000 (no interval)" in plot.svg and "<b>" not in plot.svg
    write_plot(plot, tmp_path / "effects.png", ["screening", "confirmation"])
    with Image.open(tmp_path / "effects.png") as picture:
        assert picture.width > 800 and len(picture.convert("RGB").getcolors(2**20)) > 20


def test_one_phase_is_in_the_middle_of_its_row() -> None:
    plot = plot_effects(describe_metric("sample/kid"), {"screen": [make_effect("a", 1, 1)]}, ["a"])
    rows = [line.get_ydata()[0] for line in plot.axes.lines if str(line.get_label()).startswith("a, ")]
    assert rows == [0, 0]


@pytest.mark.parametrize("length", [1, 100])
def test_long_names_are_cut(length: int) -> None:
    plot = plot_effects(describe_metric("sample/kid"), {"screen": [make_effect("n" * length, 1, 1)]}, ["n" * length])
    assert plot.axes.get_position().width > 0.5
