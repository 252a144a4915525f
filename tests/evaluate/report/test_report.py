import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor

from vaegan import load
from vaegan.data import open_data
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.comparing.verdicts import estimate_effects
from vaegan.evaluate.report.image_sheets import (
    INTERPOLATION_STEPS,
    choose_amplification,
    get_fine_detail,
)
from vaegan.evaluate.report.report import COLUMN_IMAGES, SAMPLE_IMAGES
from vaegan.images import to_float, to_uint8

from ..studies import make_configs, run_study
from .reports import HOSTILE, NAMES, Outline, read_pixels, rename, write_page

LINKS = ("src", "href", "srcset", "data", "action", "formaction", "poster", "background", "xlink:href")


def test_nothing_is_asked_of_the_network(page: str) -> None:
    outline = Outline(page)
    links = [value for _, attributes in outline.elements for key, value in attributes.items() if key in LINKS]
    assert links
    assert all(link is not None and re.match("data:|#", link) for link in links)
    styles = " ".join(outline.text("style")) + " ".join(str(a.get("style")) for _, a in outline.elements)
    assert not re.search(r"url\(|@import|//", styles)
    tags = {tag for tag, attributes in outline.elements if attributes.get("rel") != "icon"}
    assert not {"script", "link", "iframe", "object", "embed", "form"} & tags
    assert not [key for _, attributes in outline.elements for key in attributes if key.startswith("on")]
    policy = next(meta for meta in outline.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy["content"]).split(";"))
    assert rules == {
        "default-src": "'none'", "img-src": "data:", "style-src": "'unsafe-inline'", "base-uri": "'none'",
        "form-action": "'none'",
    }  # fmt: skip


def test_every_word_is_escaped(hostile_study: Comparison, page: str) -> None:
    outline = Outline(page)
    assert outline.text("title")[0] == f"{HOSTILE} · vaegan comparison"
    assert outline.text("h1") == [HOSTILE]
    assert f"vaegan compare '{HOSTILE}'" in outline.text("pre")
    images = [str(image["alt"]) for image in outline.all("img")]
    for words in (outline.text("span"), outline.text("li"), outline.text("title"), outline.text("dt"), images):
        assert all(any(name in text for text in words) for name in hostile_study.names)
    assert outline.text("th").count(HOSTILE) >= 3, "the name of a metric, in two tables, and that of a control"
    blocks = [yaml.safe_load(text) for text in outline.text("pre")[1:] if ": " in text]
    assert sum(block.get(HOSTILE) == {HOSTILE: [HOSTILE]} for block in blocks) == 1, "the common protocol"
    runs = 2 * len(NAMES)
    assert sum(block.get("origin", {}).get(HOSTILE) == HOSTILE for block in blocks) == runs, "own protocols"
    assert sum(block.get("track", {}).get("tags") == [HOSTILE] for block in blocks) == len(NAMES), "configs"


def test_no_word_makes_an_element_or_an_attribute(study: Comparison, page: str, tmp_path: Path) -> None:
    harmless = rename(study, {name: name for name in NAMES}, "word")
    expected, hostile = Outline(write_page(harmless, tmp_path)), Outline(page)
    assert [(tag, list(keys)) for tag, keys in hostile.elements] == [
        (tag, list(keys)) for tag, keys in expected.elements
    ]
    for key in ("class", "style", "id", "popovertarget", "type"):
        assert [keys.get(key) for _, keys in hostile.elements] == [keys.get(key) for _, keys in expected.elements]


def test_a_reader_who_cannot_see_it_is_told_what_is_there(page: str) -> None:
    outline = Outline(page)
    assert outline.all("html")[0]["lang"] == "en"
    alts = [str(image["alt"]) for image in outline.all("img")]
    assert all(len(alt) > 10 for alt in alts)
    assert len({alt for alt in alts if "an end of the row" not in alt}) == len(alts) - 6
    assert {th.get("scope") for th in outline.all("th")} == {"col", "row", "rowgroup"}
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in outline.all("svg"))
    buttons = [button for button in outline.all("button") if button["class"] == "enlarge"]
    assert (
        len({button["aria-label"] for button in buttons})
        == len(buttons)
        == COLUMN_IMAGES + SAMPLE_IMAGES + 3 * INTERPOLATION_STEPS
    )
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    headings = [str(section["aria-labelledby"]) for section in outline.all("section")]
    assert [link["href"] for link in outline.all("a") if "download" not in link] == [f"#{each}" for each in headings]
    assert set(headings) <= set(ids)
    assert {button["popovertarget"] for button in outline.all("button")} <= set(ids)


def test_the_images_are_the_models_own(hostile_study: Comparison, page: str) -> None:
    images = {image["alt"]: read_pixels(str(image["src"])) for image in Outline(page).all("img")}
    split = open_data(hostile_study.first.config.data).test
    real = split[torch.arange(COLUMN_IMAGES) * len(split) // COLUMN_IMAGES]
    expected: dict[str, Tensor] = {}
    made = {}
    for name in hostile_study.names:
        model = load(hostile_study.runs[name][5].run.path)
        made[name] = to_uint8(model.reconstruct(to_float(real)))
        for i, image in enumerate(to_uint8(model.sample(SAMPLE_IMAGES, 5)) if name != NAMES["ae"] else []):
            expected[f"sample {i + 1} of {name}"] = image
        for pair in range(3):
            one, other = model.encode(to_float(real[[2 * pair, 2 * pair + 1]])).mean
            middle = to_uint8(model.decode(torch.stack([one, 0.75 * one + 0.25 * other, other])))
            way = f"of the way from image {2 * pair + 1} to image {2 * pair + 2}, by {name}"
            expected |= {f"{share} % {way}": image for share, image in zip((0, 25, 100), middle, strict=True)}
    distances = {name: (each.int() - real.int()).abs() for name, each in made.items()}
    times = choose_amplification(torch.cat(list(distances.values())), 255)
    finer = choose_amplification(get_fine_detail(real), 127)
    assert f"times {times}." in page
    for i in range(COLUMN_IMAGES):
        expected[f"image {i + 1}, real"] = real[i]
        for name in hostile_study.names:
            which = f"image {i + 1}, reconstructed by {name}"
            expected[which] = made[name][i]
            expected[f"difference from the real image: {which}"] = (distances[name][i] * times).clamp(0, 255).byte()
            grain = (128 + finer * get_fine_detail(made[name])[i]).round().clamp(0, 255).byte()
            expected[f"fine detail: {which}"] = grain
    for alt, image in expected.items():
        assert np.array_equal(images[alt], image[0].numpy()), alt
    assert sum(alt.startswith("fine detail: ") for alt in images) == COLUMN_IMAGES * (1 + len(NAMES))
    samples = [alt for alt in images if alt.startswith("sample ")]
    assert len(samples) == 2 * SAMPLE_IMAGES
    assert "it has no prior to draw from." in page


def test_the_verdicts_are_the_comparisons(hostile_study: Comparison, page: str) -> None:
    outline = Outline(page)
    assert hostile_study.verdicts
    for verdict in hostile_study.verdicts:
        assert f"{verdict.headline}." in outline.text("p")
        assert set(verdict.reasons) <= set(outline.text("li"))
    assert hostile_study.pairs and {(each.variant, each.reference) for each in hostile_study.effects} == set(
        hostile_study.pairs
    )
    _, first, second = hostile_study.names
    between = estimate_effects(hostile_study.evaluations, [(second, first)])
    assert between and {(each.variant, each.reference) for each in between} == {(second, first)}
    for pair in hostile_study.pairs:
        assert f"Cost: {hostile_study.describe_cost(*pair)}." in outline.text("p")
    assert any(text.startswith(hostile_study.describe_condition()) for text in outline.text("p"))


def test_the_tables_are_the_comparisons(hostile_study: Comparison, page: str) -> None:
    rows = [row for row in Outline(page).rows if len(row) > 1]
    shown = [row[1:] for row in rows]
    for row in hostile_study.build_table()[1]:
        assert [cell.replace("-", "−") or "–" for cell in row[1:]] in shown
    assert page.count(' class="best">') >= sum(len(row.best) for row in hostile_study.build_rows())
    of_effects = [row for row in rows if len(row) == 6 and row[5] in ("better", "worse", "open")]
    assert len(of_effects) == len(hostile_study.effects)
    for effect in hostile_study.effects:
        assert any(f"{float(row[1].replace('−', '-')):.1f}" == f"{effect.estimate.value:.1f}" for row in of_effects)
    gap = hostile_study.controls["blurred"].metrics["reconstruction/laplacian_gap"]
    assert any(f"{gap:.3f}" in row for row in rows if row[0] == "blurred")


def test_the_exact_configs_and_protocols_are_there(hostile_study: Comparison, page: str) -> None:
    blocks = Outline(page).text("pre")
    runs = [run for runs in hostile_study.runs.values() for run in runs.values()]
    for run in runs:
        assert any(str(run.evaluation.protocol["origin"]["weights"]) in block for block in blocks)
        assert any(f"{run.run.path.parent.name}/{run.run.path.name}/config.yaml" in block for block in blocks)
    for name in hostile_study.names:
        assert hostile_study.runs[name][5].run.config_file.read_text() in blocks
    versions = hostile_study.first.evaluation.protocol["versions"]
    assert all(f"{package} <b>{number}</b>" in page for package, number in versions.items())


def test_a_study_that_has_next_to_nothing_has_a_report(tmp_path: Path) -> None:
    variants = make_configs("evaluate.metrics=[psnr]", "data.test=0.0006", names=("ae",))
    comparison = run_study(tmp_path / "study", variants, seeds=(5,))
    page = write_page(comparison, tmp_path)
    outline = Outline(page)
    assert "There is one variant, and nothing to compare it with." in outline.text("p")
    sections = [section["aria-labelledby"] for section in outline.all("section")]
    assert sections == ["verdict", "reconstructions", "samples", "figures", "training", "price", "made"]
    assert len(open_data(comparison.first.config.data).test) == 1
    assert len(outline.all("img")) == 5, "a real image and its reconstruction, in their views"
    assert (tmp_path / "effects.csv").read_text().count("\n") == 1
