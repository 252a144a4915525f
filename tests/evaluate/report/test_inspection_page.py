"""The page of an inspection: its texts, plots and files, and what a real browser makes of it."""

import json
from html import unescape
from pathlib import Path

import pytest
import torch
from PIL import Image

from vaegan.applications.code_statistics import compute_code_statistics
from vaegan.applications.linear_probe import LinearProbe
from vaegan.errors import Failure
from vaegan.evaluate.inspection import CodeMap, Inspection
from vaegan.evaluate.report.inspection_page import write_inspection
from vaegan.evaluate.report.inspection_plots import plot_densities, plot_information, plot_map, plot_moments
from vaegan.evaluate.report.plot_files import read_light_colours
from vaegan.evaluate.report.plots import COLOURS
from vaegan.models import Posterior
from vaegan.models.posterior import make_deterministic
from vaegan.randomness import draw_normal

from ...browser import CHROMIUM, new_page
from ...tiny import tiny
from .reports import HOSTILE, Outline

CLASSES = (HOSTILE, "_b", "c" * 20)
SHARES = torch.tensor([0.0, 0.9, 0.4, 0.6, 0.2])
"""Fractions of the aggregate posterior's variance that are of the posterior means."""


def make_posterior() -> Posterior:
    means = draw_normal((40, 5), 0, "means") * SHARES.sqrt()
    return Posterior(means, (1 - SHARES).log().expand(40, -1))


def make_inspection(posterior: Posterior) -> Inspection:
    maps = (
        CodeMap("pca", "Principal components", posterior.mean[:, 1:3].double(), ("component 1", "component 2"), True),
        CodeMap("t-sne", "t-SNE", posterior.mean[:, 3:].double(), ("first axis", "second axis"), False),
    )
    probes = {name: LinearProbe(torch.arange(40) < right, 1.0) for name, right in (("codes", 30), ("pixels", 20))}
    labels = torch.arange(40) % 3
    statistics = compute_code_statistics(posterior)
    return Inspection("test", posterior, statistics, maps, labels, CLASSES, probes, 90, ["A note."])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspection") / "new"
    write_inspection(make_inspection(make_posterior()), tiny("vae"), Path("runs/a<b>"), folder)
    return folder


def test_the_page_has_every_figure_and_hostile_words_break_nothing(folder: Path) -> None:
    page = (folder / "inspection.html").read_text()
    outline = Outline(page)
    statistics = compute_code_statistics(make_posterior())
    assert "a<b>" in outline.text("h1") and not outline.all("script") and "onload" not in str(outline.elements)
    assert ["codes", "75.0 %", "59.8 to 85.8 %"] in outline.rows
    rows = {row[0]: row[1:] for row in outline.rows if row[0].startswith("z")}
    assert list(rows) == [f"z{index}" for index in statistics.order.tolist()] == ["z1", "z3", "z2", "z4"]
    assert rows["z3"][0] == f"{statistics.kl[3]:.3f}" and rows["z3"][-1] == f"{statistics.wasserstein[3]:.3f}"
    assert "1 of the dimensions carry no information" in page and "A note." in page
    assert unescape(page).count(HOSTILE) == 5, "a title in each map, its key where it is enlarged, and that of both"
    names = {button["aria-label"] for button in outline.all("button") if button["class"] == "enlarge"}
    assert {"Enlarge: Principal components", "Enlarge: t-SNE"} < names


def test_the_files_beside_it(folder: Path) -> None:
    tree = json.loads((folder / "inspection.json").read_text())
    assert tree["active_units"] == 4 and len(tree["dimensions"]) == 5
    drawn = {"information": "c2", "moments": "c2", "densities": "c1", "pca": "line", "t-sne": None}
    assert {file.stem for file in folder.glob("*.png")} == set(drawn)
    colours = read_light_colours()
    for name, colour in drawn.items():
        with Image.open(folder / f"{name}.png") as picture:
            shown = {pixel[:3] for _, pixel in picture.getcolors(picture.width * picture.height)}
        assert colour is None or tuple(bytes.fromhex(colours[colour][1:])) in shown
        assert not shown & {tuple(bytes.fromhex(stand_in[1:])) for stand_in in COLOURS.values()}
    height = {name: Image.open(folder / f"{name}.png").height for name in drawn}
    assert min(height[name] for name in ("densities", "pca", "t-sne")) > max(
        height["information"], height["moments"]
    ), "curves and classes have a key below the plot"


def test_plots_show_the_statistics() -> None:
    posterior = make_posterior()
    statistics = compute_code_statistics(posterior)
    order = statistics.kl.argsort(descending=True).tolist()
    bars = [(line.get_xdata()[0], line.get_ydata()[1]) for line in plot_information(statistics).axes.lines]
    assert bars == [(rank, statistics.kl[index].item()) for rank, index in enumerate(order, 1)]
    colours = [line.get_color() for line in plot_information(statistics).axes.lines]
    assert colours == [COLOURS["c2" if statistics.active[index] else "c0"] for index in order]
    assert len({*colours}) == 2, "there is one that carries no information"
    lines = [line for line in plot_moments(statistics).axes.lines if str(line.get_label()).startswith("z")]
    for line, index in zip(lines, order, strict=True):
        low, high = line.get_ydata()
        assert (low + high) / 2 == pytest.approx(statistics.mean[index].item())
        assert ((high - low) / 2) ** 2 == pytest.approx(statistics.variance[index].item())
    plot, names = plot_densities(posterior, statistics)
    farthest = statistics.wasserstein.argsort(descending=True)[:4].tolist()
    assert [name.partition(",")[0] for name in names] == [f"z{index}" for index in farthest]
    for line in plot.axes.lines:
        x, y = line.get_xdata(), line.get_ydata()
        assert sum(y) * (x[1] - x[0]) == pytest.approx(1, abs=0.01)


def test_a_map_has_every_code_in_the_colour_of_its_class() -> None:
    inspection = make_inspection(make_posterior())
    labels = inspection.map_labels
    assert labels is not None
    for each in inspection.maps:
        lines = plot_map(each, labels, CLASSES).axes.lines
        assert [line.get_color() for line in lines] == [COLOURS[f"c{group}"] for group in range(len(CLASSES))]
        for group, line in enumerate(lines):
            assert torch.equal(torch.tensor(line.get_xydata()), each.coordinates[labels == group])
        (line,) = plot_map(each, None, ()).axes.lines
        assert torch.equal(torch.tensor(line.get_xydata()), each.coordinates), "without labels all are alike"


def test_a_code_without_a_prior_is_not_compared_with_one(tmp_path: Path) -> None:
    write_inspection(make_inspection(make_deterministic(make_posterior().mean)), tiny("ae"), tmp_path, tmp_path)
    page = (tmp_path / "inspection.html").read_text()
    assert "Wasserstein" not in page and "nats" not in page
    assert {file.stem for file in tmp_path.glob("*.png")} == {"information", "pca", "t-sne"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match=f"--output {tmp_path}/file"):
        write_inspection(make_inspection(make_posterior()), tiny("vae"), tmp_path, tmp_path / "file")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_it_without_requests_and_plots_are_enlarged(folder: Path, tmp_path: Path) -> None:
    with new_page(tmp_path) as page:
        page.open(folder / "inspection.html")
        for width in (360, 1280):
            page.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
            )
            assert page.evaluate("document.documentElement.scrollWidth") == width
            box = "JSON.stringify(document.querySelector('#plot-pca svg').getBoundingClientRect())"
            before = json.loads(page.evaluate(box))
            page.evaluate("document.querySelector('.enlarge[popovertarget=plot-pca]').click()")
            after = json.loads(page.evaluate(box))
            assert after["width"] >= before["width"] * (0.85 if width == 360 else 1.5)
            assert after["left"] >= 0 and after["right"] <= width and after["top"] >= 0 and after["bottom"] <= 800
            page.evaluate("document.querySelector('#plot-pca .close').click()")
            assert page.evaluate("document.querySelectorAll(':popover-open').length") == 0
        assert page.list_problems() == []
        assert [url for url in page.list_requests() if not url.startswith("data:")] == [
            (folder / "inspection.html").as_uri()
        ]
