"""A study whose samples come from densities says so wherever it speaks of them."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from vaegan.config.classifier import ClassifierConfig
from vaegan.data import open_data
from vaegan.density_fitting import fit_density_to_images
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.report.report import SAMPLE_IMAGES
from vaegan.images import to_uint8
from vaegan.models import Classifier
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run

from ..studies import make_configs, run_study
from .reports import METRICS, Outline, read_pixels

NAMED = "GMM of 3, fitted to 1,437 codes"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def study(folder: Path) -> Comparison:
    net = Run(folder / "net")
    net.path.mkdir()
    net.export(Classifier(ClassifierConfig(width=8, classes=10), (1, 8, 8), 0).eval(), 1)
    metrics = METRICS.replace("psnr", "psnr, kid")
    return run_study(
        folder, make_configs(metrics, f"evaluate.features={net.path}", "evaluate.density=gmm:3"), seeds=(5, 6)
    )


@pytest.fixture(scope="module")
def page(study: Comparison, folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_never_speaks_of_samples_without_their_density(page: str) -> None:
    outline = Outline(page)
    assert f"Samples ({NAMED})" in outline.text("h2"), "the pictures"
    assert f"Samples ({NAMED})" in outline.text("figcaption"), "the spectrum"
    assert [f"Samples ({NAMED})"] in outline.rows, "the metrics"
    assert f"Samples ({NAMED}): KID (net)" in [row[0] for row in outline.rows], "the differences"
    assert f"In the place of samples, beside the variants’ ({NAMED})" in [row[0] for row in outline.rows]
    assert f"accuracy ({NAMED})" in [row[0] for row in outline.rows]
    assert f"reconstructed and generated ({NAMED}) images" in page
    assert page.count(f"a {NAMED} of the training images") == 1 and "Drawn from the prior" not in page
    assert "no prior to draw from" not in page, "the autoencoder has samples too"
    for headline in outline.text("p"):
        assert not headline.startswith("Samples of")


def test_the_pictures_are_drawn_from_each_variants_own(study: Comparison, page: str) -> None:
    shown = {str(image["alt"]): str(image["src"]) for image in Outline(page).all("img")}
    for name, runs in study.runs.items():
        run = runs[5]
        model, training = load(run.run.path), open_data(run.config.data).train
        density = fit_density_to_images("gmm:3", model, training, 5, run.config.evaluate.batch_size)
        expected = to_uint8(model.sample(SAMPLE_IMAGES, 5, density))
        for place in (0, SAMPLE_IMAGES - 1):
            pixels = read_pixels(shown[f"sample {place + 1} of {name} ({NAMED})"])
            assert np.array_equal(pixels, expected[place, 0].numpy())
    assert sum(alt.startswith("sample ") for alt in shown) == 3 * SAMPLE_IMAGES


def test_sentences_tables_and_commands_name_it(study: Comparison, folder: Path, page: str) -> None:
    of_samples = [verdict for verdict in study.verdicts if verdict.kind == "sample"]
    assert {verdict.variant for verdict in of_samples} == {"ae", "vaegan3"}
    for verdict in study.verdicts:
        subject = f"Samples ({NAMED}) of " if verdict.kind == "sample" else "Reconstructions of "
        assert verdict.headline.startswith(subject + verdict.variant)
        assert f"{verdict.sentence}." in study.list_sentences()
    rows = [row[0] for row in study.build_table()[1]]
    assert f"Samples ({NAMED}): spectrum error ↓" in rows and "Reconstructions: spectrum error ↓" in rows
    assert f"Discriminator: accuracy ({NAMED})" in rows
    runs = [evaluated.run for seeds in study.runs.values() for evaluated in seeds.values()]
    assert {run.config.evaluate.density for run in runs} == {"gmm:3"}, "it is evaluated with it again"
    written = json.loads((folder / "comparison.json").read_text())
    assert {each["density"] for each in written["findings"]} == {NAMED}
    protocols = [run["protocol"] for each in written["variants"].values() for run in each["runs"].values()]
    assert {each["samples_from"] for each in protocols} == {NAMED}
    assert {each["protocol"]["samples_from"] for each in written["controls"].values()} == {"other real images"}


def test_the_csv_files_name_it_in_every_row_on_samples(study: Comparison, folder: Path) -> None:
    def read(name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO((folder / name).read_text(encoding="utf-8")), strict=True))

    for name in ("figures.csv", "effects.csv"):
        rows = read(name)
        assert {row["samples_from"] for row in rows if re.match("sample/|discriminator/", row["figure"])} == {NAMED}
        assert {row["samples_from"] for row in rows if row["figure"].startswith(("reconstruction/", "elbo"))} == {""}
    assert {row["images"] for row in read("findings.csv")} == {"reconstructions", f"samples ({NAMED})"}
    assert {row["images"]: row["samples_from"] for row in read("confusion.csv")} == {
        "real": "", "reconstructed": "", "generated": NAMED
    }  # fmt: skip


def test_without_one_the_tables_name_the_prior(tmp_path: Path) -> None:
    run_study(tmp_path, make_configs(METRICS, names=("ae", "vae")), seeds=(5,))
    rows = list(csv.DictReader((tmp_path / "figures.csv").open(encoding="utf-8")))
    assert {row["samples_from"] for row in rows if row["figure"].startswith("sample/")} == {"N(0, I)"}
