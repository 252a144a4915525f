"""Figures as elements of a page."""

import re
import warnings
import xml.etree.ElementTree as ET

import matplotlib
import pytest
from markupsafe import Markup
from matplotlib.figure import Figure

from vaegan.evaluate.report.svg import COLOURS, render_svg
from vaegan.plotting import matplotlib_defaults

WORDS = "a <b> & \"c\" 'd' $e$ #ab0003"


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
