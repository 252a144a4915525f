import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from vaegan import load
from vaegan.data import open_data
from vaegan.evaluate.comparison import Comparison
from vaegan.evaluate.report import SAMPLES, write_report
from vaegan.evaluate.runner import Evaluation
from vaegan.evaluate.spectrum_plot import spectrum_plot
from vaegan.images import to_float, to_uint8

from .browser import CHROMIUM, new_page
from .studies import configs, run_study

HOSTILE = "</title></style></pre><script>alert('1')</script>\"' onload=x <img src=http:x>&lt;{{ title }}{% x %}<!--"
NAMES = {"vae": 'a <b>vae</b> & "more"', "ae": "ae' onclick='x", "vaegan3": "<img src=http:x>"}
LINKS = ("src", "href", "srcset", "data", "action", "poster", "background", "xlink:href")


class Outline(HTMLParser):
    """Elements with their attributes and texts, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self.inside.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, text: str) -> None:
        if self.inside:
            self.texts.append((self.inside[-1], text))
        if {"th", "td"} & set(self.inside) and not {"small", "span"} & set(self.inside):
            self.rows[-1][-1] += text.strip()

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    """Two seeds of three variants."""
    folder = tmp_path_factory.mktemp("report")
    variants = configs(f"track.tags=[{json.dumps(HOSTILE)}]")
    return folder, run_study(folder, variants, title=HOSTILE, command=f"vaegan compare '{HOSTILE}'")


@pytest.fixture(scope="module")
def study(plain: tuple[Path, Comparison]) -> tuple[Path, Comparison]:
    """The same with words that would break a page that does not escape them wherever a word can stand."""
    folder, comparison = plain
    hostile = reworded(comparison, NAMES, HOSTILE)
    write_report(hostile, open_data(hostile.first.config.data), folder / "report.html")
    return folder, hostile


def reworded(comparison: Comparison, names: dict[str, str], word: str) -> Comparison:
    """A comparison whose variants are called something else, and that has a word in every other place."""

    def evaluation(given: Evaluation) -> Evaluation:
        protocol = {**given.protocol, word: {word: [word]}, "origin": {**given.protocol["origin"], word: word}}
        return replace(given, metrics={**given.metrics, word: 1.0}, protocol=protocol)

    judged = {
        names[name]: {seed: replace(run, evaluation=evaluation(run.evaluation)) for seed, run in runs.items()}
        for name, runs in comparison.judged.items()
    }
    title = comparison.study.model_copy(update={"title": word})
    return replace(comparison, study=title, judged=judged, command=f"vaegan compare '{word}'")


@pytest.fixture(scope="module")
def page(study: tuple[Path, Comparison]) -> str:
    return (study[0] / "report.html").read_text(encoding="utf-8")


def test_nothing_is_asked_of_the_network(page: str) -> None:
    outline = Outline(page)
    links = [value for _, attributes in outline.elements for key, value in attributes.items() if key in LINKS]
    assert links
    assert all(link is not None and link.startswith("data:") for link in links)
    styles = " ".join(outline.text("style")) + " ".join(str(a.get("style")) for _, a in outline.elements)
    assert not re.search(r"url\(|@import|//", styles)
    tags = {tag for tag, attributes in outline.elements if attributes.get("rel") != "icon"}
    assert not {"script", "link", "iframe", "object", "form"} & tags
    assert not [key for _, attributes in outline.elements for key in attributes if key.startswith("on")]
    policy = next(meta for meta in outline.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_every_word_is_escaped(study: tuple[Path, Comparison], page: str) -> None:
    outline = Outline(page)
    assert outline.text("title")[0] == f"{HOSTILE} · vaegan comparison"
    assert outline.text("h1") == [HOSTILE]
    assert f"vaegan compare '{HOSTILE}'" in outline.text("pre")
    images = [str(image["alt"]) for image in outline.all("img")]
    for words in (outline.text("span"), outline.text("li"), outline.text("title"), images):
        assert all(any(name in text for text in words) for name in study[1].names)
    assert HOSTILE in outline.text("th"), "the name of a figure"
    blocks = [yaml.safe_load(text) for text in outline.text("pre")[1:]]
    assert sum(block.get(HOSTILE) == {HOSTILE: [HOSTILE]} for block in blocks) == 1, "the common protocol"
    assert sum(block.get("origin", {}).get(HOSTILE) == HOSTILE for block in blocks) == len(NAMES), "own protocols"
    assert sum(block.get("track", {}).get("tags") == [HOSTILE] for block in blocks) == len(NAMES), "configs"


def test_no_word_makes_an_element_or_an_attribute(plain: tuple[Path, Comparison], page: str, tmp_path: Path) -> None:
    comparison = plain[1]
    harmless = reworded(comparison, {name: name for name in NAMES}, "word")
    write_report(harmless, open_data(harmless.first.config.data), tmp_path / "report.html")
    expected = Outline((tmp_path / "report.html").read_text(encoding="utf-8"))
    found = Outline(page)
    assert [(tag, list(keys)) for tag, keys in found.elements] == [(tag, list(keys)) for tag, keys in expected.elements]
    for key in ("class", "style", "href", "id"):
        assert [keys.get(key) for _, keys in found.elements] == [keys.get(key) for _, keys in expected.elements]


def test_a_reader_who_cannot_see_it_is_told_what_is_there(page: str) -> None:
    outline = Outline(page)
    assert outline.all("html")[0]["lang"] == "en"
    images = outline.all("img")
    assert images
    assert all(image["alt"] and len(image["alt"]) > 10 for image in images)
    assert len({image["alt"] for image in images}) == len(images)
    assert {th.get("scope") for th in outline.all("th")} == {"col", "row", "rowgroup"}
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in outline.all("svg"))
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    named = {attributes["id"] for _, attributes in outline.elements if "id" in attributes}
    assert {section["aria-labelledby"] for section in outline.all("section")} == named


def test_the_images_are_the_models_own(study: tuple[Path, Comparison], page: str) -> None:
    comparison = study[1]
    images = {image["alt"]: pixels(str(image["src"])) for image in Outline(page).all("img")}
    split = open_data(comparison.first.config.data).test
    real = split[torch.arange(12) * len(split) // 12]
    expected = {f"real images, {i + 1} of 12": image for i, image in enumerate(real)}
    for name in comparison.names:
        model = load(comparison.judged[name][5].run.path)
        for i, image in enumerate(to_uint8(model.reconstruct(to_float(real)))):
            expected[f"reconstructions of {name}, {i + 1} of 12"] = image
        for i, image in enumerate(to_uint8(model.sample(SAMPLES, 5)) if name != NAMES["ae"] else []):
            expected[f"samples of {name}, {i + 1} of {SAMPLES}"] = image
    assert images.keys() == expected.keys()
    assert all(np.array_equal(images[alt], image[0].numpy()) for alt, image in expected.items())
    assert "No samples: an autoencoder has no prior to draw from." in page


def pixels(uri: str) -> np.ndarray:
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))


def test_the_table_is_the_terminals(study: tuple[Path, Comparison], page: str) -> None:
    _, rows = study[1].table()
    shown = [row[1:] for row in Outline(page).rows if len(row) > 1][1:]
    assert shown == [[cell or "–" for cell in row[1:]] for row in rows]
    best = [len(row.best) for row in study[1].rows()]
    assert page.count('class="best">') == sum(best) + 1
    for finding in study[1].findings():
        for reason in finding.reasons:
            typeset = reason.replace("'", "’").replace("->", "→").replace("+-", "±").replace(">=", "≥")
            assert typeset in Outline(page).text("small")
    assert study[1].condition() in Outline(page).text("p")


def test_the_exact_configs_and_protocols_are_there(study: tuple[Path, Comparison], page: str) -> None:
    blocks = Outline(page).text("pre")
    for name in study[1].names:
        assert study[1].judged[name][5].run.config_file.read_text() in blocks
    digests = [runs[5].evaluation.protocol["origin"]["weights"] for runs in study[1].judged.values()]
    assert all(any(digest in block for block in blocks) for digest in digests)


def test_curves_are_where_their_power_is() -> None:
    frequencies, errors = [0.25, 0.5], [0.0, np.log(4)]
    plot = spectrum_plot({"a": (frequencies, errors), "b": (frequencies, [-e for e in errors])})
    marks = {tick.label: tick.place for tick in plot.up}
    along = {tick.label: tick.place for tick in plot.across}
    for name, last in (("a", "× 4"), ("b", "÷ 4")):
        points = [tuple(map(float, point.split(","))) for point in plot.lines[name].split()]
        assert points[0] == pytest.approx((along["0.25"], marks["real"]), abs=0.1)
        assert points[1] == pytest.approx((along["0.5"], marks[last]), abs=0.1)
    assert plot.top <= marks["× 4"] < marks["× 2"] < marks["real"] < marks["÷ 2"] < plot.bottom
    for size in (0.01, 1.0, 5.0, 20.0):
        ticks = spectrum_plot({"a": (frequencies, [0.0, size])}).up
        assert 3 <= len(ticks) <= 9
        assert "real" in [tick.label for tick in ticks]


SHAPE = """JSON.stringify({
  title: document.title,
  scripts: document.scripts.length,
  images: [...document.images].map(i => [i.complete, i.naturalWidth, i.clientWidth, i.clientHeight]),
  rendering: getComputedStyle(document.images[0]).imageRendering,
  wide: document.documentElement.scrollWidth,
  ground: getComputedStyle(document.body).backgroundColor,
  ink: getComputedStyle(document.body).color,
  scrolls: [...document.querySelectorAll('.scroll')].map(e => [e.scrollWidth, e.clientWidth]),
  smallest: Math.min(...[...document.querySelectorAll('main *')].filter(e => e.clientHeight && e.textContent.trim())
    .map(e => parseFloat(getComputedStyle(e).fontSize))),
})"""


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)` (WCAG 2)."""
    channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_it(study: tuple[Path, Comparison], tmp_path: Path) -> None:
    path = study[0] / "report.html"
    with new_page(tmp_path / "profile") as browser:
        browser.open(path)
        seen = {}
        for scheme in ("light", "dark"):
            for width in (390, 1280):
                browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
                screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
                browser.call("Emulation.setDeviceMetricsOverride", **screen)
                seen[scheme, width] = json.loads(browser.evaluate(SHAPE))
        assert browser.complaints() == []
        assert [url for url in browser.requests() if not url.startswith("data:")] == [path.as_uri()]

    for (scheme, width), shape in seen.items():
        assert shape["title"] == f"{HOSTILE} · vaegan comparison"
        assert shape["scripts"] == 0
        assert shape["rendering"] == "pixelated"
        assert len(shape["images"]) == 12 * 4 + SAMPLES * 2
        assert all(complete and natural == 8 for complete, natural, _, _ in shape["images"])
        assert all(shown >= 48 and shown == high for _, _, shown, high in shape["images"])
        assert shape["wide"] == width
        assert shape["smallest"] >= 12
        assert any(inner > outer for inner, outer in shape["scrolls"]) == (width == 390)
        dark, light = sorted((luminance(shape["ground"]), luminance(shape["ink"])))
        assert (light + 0.05) / (dark + 0.05) > 7
        assert (luminance(shape["ground"]) < 0.1) == (scheme == "dark")
