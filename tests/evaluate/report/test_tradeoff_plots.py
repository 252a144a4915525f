"""The plots of rate, distortion and perception."""

from dataclasses import replace

import pytest

from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.report.plots import Plot
from vaegan.evaluate.report.tradeoff_plots import plot_tradeoffs

from .plot_reading import Place, are_inside, get_lines, get_places, get_ticks


def get_marks(plot: Plot, name: str) -> list[tuple[str, bool, Place]]:
    """Tooltip, faintness and place of each mark of a variant."""
    lines = [(title, faint, get_places(line)) for title, faint, line in get_lines(plot)]
    return [(title, faint, place) for title, faint, (place,) in lines if title.startswith(f"{name}: ")]


def test_rate_distortion_and_perception(study: Comparison) -> None:
    rate, perception = plot_tradeoffs(study)
    labels = [(plot.figure.axes[-1].get_xlabel(), plot.axes.get_ylabel()) for plot in (rate, perception)]
    assert labels == [("rate, bits per image", "PSNR, dB ↑"), ("PSNR, dB ↑", "spectrum error ↓")]
    assert are_inside(rate) and are_inside(perception)
    means = [title.partition(":")[0] for title, faint, _ in get_lines(rate) if not faint]
    assert sorted(means) == sorted(study.names)
    assert len(get_lines(rate)) == 3 * len(study.names)
    for plot in (rate, perception):
        for name in study.names:
            *seeds, (_, faint, mean) = get_marks(plot, name)
            assert [seed_is_faint for _, seed_is_faint, _ in seeds] == [True, True]
            assert not faint
            places = [place for _, _, place in seeds]
            assert mean == pytest.approx([sum(values) / 2 for values in zip(*places, strict=True)])


def test_a_variant_without_a_rate_is_drawn_on_the_side_axes(study: Comparison) -> None:
    rate, perception = plot_tradeoffs(study)
    axes, side = rate.figure.axes
    places = {name: get_marks(rate, name)[-1][2][0] for name in study.names}
    assert places["ae"] > axes.bbox.x1 > max(places["vae"], places["vaegan3"])
    assert get_ticks(side.xaxis) == {"no rate": pytest.approx(places["ae"])}
    assert "ae" in rate.note and "unknown" in get_marks(rate, "ae")[-1][0]
    assert side.get_ylim() == axes.get_ylim()
    higher = max(("vae", "vaegan3"), key=lambda name: study.get_spreads(name)["rate"].mean)
    assert places[higher] == max(places["vae"], places["vaegan3"])
    assert len(perception.figure.axes) == 1
    assert perception.note == ""

    without = replace(study, runs={"ae": study.runs["ae"]})
    assert [plot.title for plot in plot_tradeoffs(without)] == ["Distortion and perception"]
