"""Studies whose report has everything, with words that break a page which does not escape them."""

import base64
import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image

from vaegan.data import open_data
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.report.report import write_report
from vaegan.evaluate.result import EvaluationResult

from ..studies import make_configs, run_study

HOSTILE = "</title></style></pre><script>alert('1')</script>\"' onload=x <img src=http:x>&lt;{{ title }}{% x %}<!--"
NAMES = {"vae": 'a <b>vae</b> & "more"', "ae": "ae' onclick='x", "vaegan3": "<img src=http:x>"}
METRICS = "evaluate.metrics=[psnr, ssim, sharpness, elbo, gap, confusion]"


class Outline(HTMLParser):
    """Hold the elements of a page with their attributes and texts, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in ("img", "meta", "link", "input", "br"):
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


def run_plain_study(folder: Path) -> Comparison:
    """Train, evaluate and compare two seeds of three variants."""
    variants = make_configs(f"track.tags=[{json.dumps(HOSTILE)}]", METRICS, "train.log_every=1")
    return run_study(folder, variants, title=HOSTILE, command=f"vaegan compare '{HOSTILE}'")


def rename(comparison: Comparison, names: dict[str, str], word: str) -> Comparison:
    """Return a comparison with other names of variants, and with a word in every other place."""

    def add_word(result: EvaluationResult) -> EvaluationResult:
        protocol = {**result.protocol, word: {word: [word]}, "origin": {**result.protocol["origin"], word: word}}
        scores = {**result.scores, word: result.scores["reconstruction/psnr"]}
        return replace(result, metrics={**result.metrics, word: 1.0}, protocol=protocol, scores=scores)

    runs_by_name = {
        names[name]: {seed: replace(run, evaluation=add_word(run.evaluation)) for seed, run in runs.items()}
        for name, runs in comparison.runs.items()
    }
    controls = {**comparison.controls, word: comparison.controls["noisy"]}
    title = comparison.study.model_copy(update={"title": word})
    return replace(comparison, study=title, runs=runs_by_name, controls=controls, command=f"vaegan compare '{word}'")


def write_page(comparison: Comparison, folder: Path) -> str:
    """Write the report of a comparison into a folder and return the page."""
    write_report(comparison, open_data(comparison.first.config.data), folder / "report.html", print)
    return (folder / "report.html").read_text(encoding="utf-8")


def read_pixels(uri: str) -> np.ndarray:
    """Return the pixels of a PNG inside a data URI."""
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))
