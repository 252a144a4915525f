"""The look of the report's plots, and figures as elements of a page."""

import math
import re
import warnings
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import pairwise

import matplotlib
import pytest
from markupsafe import Markup
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from vaegan.evaluate.report.plots import (
    COLOURS,
    VARIANT_STYLES,
    average,
    draw_curves,
    draw_key,
    draw_mark,
    new_plot,
    render_svg,
)
from vaegan.plotting import matplotlib_defaults

from .plot_reading import get_lines, get_places, get_ticks

WORDS = "a <b> & \"c\" 'd' $e$ #ab0003"


@pytest.mark.parametrize(
    ("limits", "labels"),
    [
        ((0, 10), ["0", "2", "4", "6", "8", "10"]),
        ((-0.3, 0.1), ["−0.3", "−0.2", "−0.1", "0", "0.1"]),
        ((0, 1200), ["0", "250", "500", "750", "1,000"]),
        ((16.01, 16.04), ["16.01", "16.02", "16.03", "16.04"]),
    ],
)
def test_ticks_are_round_and_few(limits: tuple[float, float], labels: list[str]) -> None:
    axes = new_plot("Title", "across", "up").axes
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    assert list(get_ticks(axes.xaxis)) == list(get_ticks(axes.yaxis)) == labels


def test_axes_are_labelled_and_side_axes_share_the_vertical_one() -> None:
    plot = new_plot("Title", "across", "up", "Note.", side_width=80)
    axes, side = plot.figure.axes
    assert (plot.title, axes.get_ylabel(), side.get_xlabel(), plot.note) == ("Title", "up", "across", "Note.")
    assert side.bbox.width == pytest.approx(80)
    assert side.bbox.x0 == pytest.approx(axes.bbox.x1)
    axes.set_ylim(3, 5)
    assert side.get_ylim() == (3, 5)
    assert 'role="img" aria-label="Title: up, by across"' in plot.svg


def test_seeds_are_faint_beside_their_mean() -> None:
    axes = (plot := new_plot("Title", "across", "up")).axes
    draw_curves(axes, 0, "two", [[(0, 1), (1, 3), (2, 9)], [(0, 3), (1, 5)]])
    draw_curves(axes, 1, "one", [[(0, 1), (1, 2)]])
    draw_curves(axes, 2, "none", [])
    draw_curves(axes, 3, "apart", [[(0, 1)], [(1, 2)]])
    lines = get_lines(plot)
    assert [(name, faint) for name, faint, _ in lines] == [
        ("two", True), ("two", True), ("two", False), ("one", False), ("apart", True), ("apart", True)
    ]  # fmt: skip
    assert lines[2][2].get_xydata().tolist() == [[0, 2], [1, 4]]
    assert lines[2][2].get_linewidth() > lines[0][2].get_linewidth()
    assert average([[(1.0, 2.0), (2.0, 4.0)], [(1.0, 4.0), (3.0, 1.0)]]) == [(1.0, 3.0)]


def test_twelve_variants_are_told_apart_by_more_than_their_colour() -> None:
    axes = (plot := new_plot("Title", "across", "up")).axes
    for variant in range(VARIANT_STYLES):
        draw_curves(axes, variant, "curve", [[(0, 1), (1, 2)]])
        draw_mark(axes, variant, "mark", 0.5, 1.5)
    curves, marks = ([line for name, _, line in get_lines(plot) if name == kind] for kind in ("curve", "mark"))
    for lines in (curves, marks):
        assert [to_hex(line.get_color()) for line in lines] == [COLOURS[f"c{index}"] for index in range(VARIANT_STYLES)]
    dashes = Counter(str(line._dash_pattern) for line in curves)
    assert len(dashes) == 6 and max(dashes.values()) <= 3
    shapes = Counter(line.get_marker() for line in marks)
    assert len(shapes) == 6 and set(shapes.values()) == {2}
    assert all(before.get_marker() != after.get_marker() for before, after in pairwise(marks))
    svg = plot.svg
    for variant in range(VARIANT_STYLES):
        assert svg.count(f"stroke: var(--c{variant});") == 1
        assert svg.count(f"fill: var(--c{variant});") == 1


def test_a_mark_of_a_seed_is_smaller_and_pale() -> None:
    plot = new_plot("Title", "across", "up")
    draw_mark(plot.axes, 2, "seed", 0.5, 1.5, faint=True)
    draw_mark(plot.axes, 2, "mean", 0.5, 1.5)
    (_, seed_is_faint, seed), (_, mean_is_faint, mean) = get_lines(plot)
    assert (seed_is_faint, mean_is_faint) == (True, False)
    assert seed.get_markersize() < mean.get_markersize()
    assert get_places(seed) == get_places(mean)


def test_a_key_looks_like_the_curve_and_the_mark() -> None:
    for variant in range(VARIANT_STYLES + 1):
        curve, mark = (draw_key(variant, mark) for mark in (False, True))
        index = variant % VARIANT_STYLES
        assert f"stroke: var(--c{index});" in curve
        assert f"fill: var(--c{index});" in mark
        assert ("stroke-dasharray" in curve) == (index not in (0, 2, 7))
        for key in (curve, mark):
            assert 'aria-hidden="true"' in key
            assert "<text" not in key


def test_what_is_drawn_is_where_its_values_are() -> None:
    plot = new_plot("Title", "across", "up")
    plot.axes.set_xlim(0, 10)
    plot.axes.set_ylim(0, 10)
    draw_curves(plot.axes, 0, "a", [[(2, 4), (6, 8)]])
    xs, ys = get_ticks(plot.axes.xaxis), get_ticks(plot.axes.yaxis)
    assert get_places(get_lines(plot)[0][2]) == [
        pytest.approx((xs["2"], ys["4"])), pytest.approx((xs["6"], ys["8"]))
    ]  # fmt: skip
    assert math.isclose(xs["10"], plot.axes.bbox.x1)


def draw(title: str = WORDS) -> Figure:
    with matplotlib_defaults({}):
        figure = Figure((2, 1))
        axes = figure.subplots()
        axes.plot([0, 1], [1, 2], "o-", color=COLOURS["c3"], label=title, markeredgecolor=COLOURS["ground"])
        axes.axhline(1.5, color=COLOURS["ink"])
        axes.set_xlabel(title)
    return figure


def parse(svg: str) -> ET.Element:
    return ET.fromstring(str(svg).replace("<svg", '<svg xmlns:xlink="http://www.w3.org/1999/xlink"', 1))


def test_a_figure_is_the_same_bytes_each_time() -> None:
    svg = render_svg(draw(), "one", Markup(""))
    assert svg == render_svg(draw(), "one", Markup(""))
    figure = draw()
    assert render_svg(figure, "one", Markup("")) == render_svg(figure, "one", Markup("")) == svg
    assert not re.search(r"\d{4}-\d\d-\d\d|Matplotlib|matplotlib|metadata", svg)


def test_no_setting_of_the_user_changes_it_and_none_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    svg = render_svg(draw(), "one", Markup(""))
    for name, value in {"axes.facecolor": "black", "xtick.direction": "in", "font.size": 30, "axes.grid": True}.items():
        monkeypatch.setitem(matplotlib.rcParams, name, value)
    before = dict(matplotlib.rcParams)
    assert render_svg(draw(), "one", Markup("")) == svg
    assert dict(matplotlib.rcParams) == before


def test_ids_belong_to_one_figure_and_are_referred_to() -> None:
    first, second = (render_svg(draw(), salt, Markup("")) for salt in ("one", "two"))
    ids = [set(re.findall(r'id="([^"]*)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip((first, second), ids, strict=True):
        assert own == set(re.findall(r'(?:href="#|url\(#)([^")]*)', svg))
        assert all(svg.count(f'id="{name}"') == 1 for name in own)


def test_colours_are_the_pages_and_texts_stay_texts() -> None:
    svg = render_svg(draw(), "one", Markup('role="img"'))
    root = parse(svg)
    assert (root.get("role"), root.get("viewBox")) == ("img", "0 0 144 72")
    assert {"var(--c3)", "var(--ground)", "var(--ink)"} == set(re.findall(r"var\([^)]*\)", svg))
    styles = " ".join(element.get("style", "") for element in root.iter())
    assert "#ab00" not in styles
    assert "font" not in styles
    texts = [element.text for element in root.iter("text")]
    assert WORDS in texts
    assert [element.text for element in root.iter("title")] == [WORDS]


def test_it_brings_no_style_sheet_and_asks_for_nothing() -> None:
    svg = render_svg(draw(), "one", Markup(""))
    assert not re.search(r"<style|<script|<image|<\?|<!|://|@import|\son\w+=", svg)


def test_a_letter_that_matplotlibs_font_lacks_is_left_to_the_browser() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = render_svg(draw("日本"), "one", Markup(""))
    assert "日本" in [element.text for element in parse(svg).iter("text")]
