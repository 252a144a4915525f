"""A card says what the run's folder says, has a header that the Hub reads, and names no folder of this machine."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image

import vaegan
from vaegan.config.schema import Config
from vaegan.data import open_data
from vaegan.errors import UserError
from vaegan.exports.card import CardOptions, write_card
from vaegan.exports.facts import hide_paths
from vaegan.storage.loading import load, load_weights_hash
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ...tiny import tiny

MakeRun = Callable[[Config], Path]


def write_metrics(run: Path, weights: str, **metrics: float) -> None:
    origin = {"weights": weights, "settings": {"features": "/home/annabel/runs/features"}}
    protocol = {"split": "test", "of": 180, "features": "/home/annabel/runs/features", "origin": origin}
    Run(run).metrics_file.write_text(json.dumps({"metrics": metrics, "protocol": protocol}))


def test_the_hub_reads_the_header(make_run: MakeRun) -> None:
    run = make_run(tiny("vae"))
    write_metrics(run, load_weights_hash(run), **{"reconstruction/psnr": 21.25, "sample/fid": 3.5, "elbo": -7.0})
    card = ModelCard(write_card(run, load(run), "", CardOptions("apache-2.0", name="digits-vae")))
    assert card.data.license == "apache-2.0" and card.data.library_name == "vaegan"
    assert card.data.pipeline_tag == "unconditional-image-generation" and card.data.model_name == "digits-vae"
    assert card.data.tags == ["vaegan", "autoencoder", "image-generation", "vae"]
    found = {result.metric_type: result.metric_value for result in card.data.eval_results or ()}
    assert found == {"psnr": 21.25, "fid": 3.5}  # the Hub has no name for the others
    assert all((result.dataset_type, result.dataset_split) == ("digits", "test") for result in card.data.eval_results)
    assert "| elbo | -7 |" in card.text and "| reconstruction/psnr | 21.25 |" in card.text
    assert "180 of them" in card.text and "| 8 x 8, 1 channel, fit: crop |" in card.text


def test_a_model_that_was_not_evaluated_has_no_figures(make_run: MakeRun) -> None:
    run, notes = make_run(tiny("ae")), list[str]()
    options = CardOptions(notify=notes.append)
    card = ModelCard(write_card(run, load(run), "", options))
    assert "Not evaluated" in card.text and card.data.eval_results is None and card.data.license is None
    assert card.data.pipeline_tag == "image-feature-extraction" and "It has no prior" in card.text
    del notes[:]
    write_metrics(run, "0" * 64, elbo=1.0)  # of other weights
    assert "Not evaluated" in write_card(run, load(run), "", options)
    assert any("measured on other weights" in note for note in notes)
    Run(run).metrics_file.write_text('{"metrics": {"a": "b"}, "protocol": []}')
    assert "Not evaluated" in write_card(run, load(run), "", options)
    assert any("not what an evaluation writes" in note for note in notes)


def test_no_folder_of_this_machine_is_in_a_card(tmp_path: Path) -> None:
    images = tmp_path / "secret-place" / "birds|<b>"
    for number in range(20):
        (images / "a`b").mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number * 9).save(images / "a`b" / f"{number}.png")
    overrides = "data.source=folder", f"data.root={images}", "train.steps=2", "data.test=0.2", "data.validation=0.2"
    config = tiny("vae", *overrides)
    first = train(config, tmp_path / "secret-place" / "first", open_data(config.data)).path
    config = tiny("vae", *overrides, f"train.init={first}")
    run = train(config, tmp_path / "secret-place" / "run", open_data(config.data)).path
    write_metrics(run, load_weights_hash(run), elbo=-7.0)
    text = write_card(run, load(run), "", CardOptions())
    assert "secret-place" not in text and "annabel" not in text and str(tmp_path) not in text
    assert "init: first" in text and "features: features" in text
    assert "folder: birds\\|&lt;b>" in text  # no markup
    counts = re.search(r"\| images \| (\d+) train, (\d+) validation, (\d+) test \|", text)
    assert counts is not None and sum(map(int, counts.groups())) == 20
    assert re.search(r"\| seconds \| \d", text) and "| images seen | 16 |" in text


def test_what_needs_the_rest_of_the_run_is_said(make_run: MakeRun) -> None:
    run = make_run(tiny("vaegan3-grid"))
    text = write_card(run, load(run), "", CardOptions())
    assert "The discriminator is not in it" in text and "The training images are not in it" in text
    without = write_card(run / "model", load(run), "", CardOptions())  # the model alone
    assert "Not known: only the model is there" in without and "# model" in without
    assert "not finished" not in text
    Run(run).write_config(tiny("vaegan3-grid", "train.steps=9"))
    assert "5 of 9: the training is not finished" in write_card(run, load(run), "", CardOptions())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/a/b", "b"), (r"C:\a\b", "b"), ("~/b", "b"), ("file:///a/b", "b"), (Path("/a/b"), "b"), ("a/b", "a/b"),
        ({"x": ["/a/b", 1, None]}, {"x": ["b", 1, None]}), ("hf://a/b", "hf://a/b"),
        ("rings of 1 / size", "rings of 1 / size"),
    ],
)  # fmt: skip
def test_absolute_paths_are_cut_to_their_last_part(value: object, expected: object) -> None:
    assert hide_paths(value) == expected


def test_a_licence_is_a_name(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^license none of yours: no name of a licence; give one such as apache-2\.0$"):
        vaegan.export_run(make_run(tiny("ae")), output=tmp_path / "out", license="none of yours")
