"""The contents of W&B's file of a published study."""

import json
from pathlib import Path

import pytest

from vaegan.config.schema import Config
from vaegan.evaluate.publish import IMAGES_PER_VARIANT
from vaegan.storage.run_folder import Run
from vaegan.trainers.log.tracking import Tracker

from ..trainers.conftest import fresh_wandb
from ..wandb_file import read_config, read_run
from .studies import make_configs, run_study

__all__ = ["fresh_wandb"]


@pytest.mark.usefixtures("fresh_wandb")
@pytest.mark.parametrize(
    ("words", "sample"),
    [((), "sample"), (("evaluate.density=gaussian",), "sample (Gaussian, fitted to 1,437 codes)")],
)
def test_a_study_is_a_run_with_tables_images_and_files(words: tuple[str, ...], sample: str, tmp_path: Path) -> None:
    notes: list[str] = []

    def start(config: Config, folder: Path) -> Tracker:
        offline = config.track.model_copy(update={"wandb": "offline"})
        return Tracker.start(config.model_copy(update={"track": offline}), folder, None, notes.append)

    folder = tmp_path / "study"
    comparison = run_study(folder, make_configs(*words), start_publisher=start)
    assert notes == []
    records = read_run(folder)
    artifacts = [record.artifact for record in records if record.HasField("artifact")]
    tables = {
        entry.path.removesuffix(".table.json"): json.loads(Path(entry.local_path).read_text())
        for artifact in artifacts
        if artifact.type == "run_table"
        for entry in artifact.manifest.contents
        if entry.path.endswith(".table.json")
    }
    header, rows = comparison.build_table()
    assert (tables["comparison"]["columns"], tables["comparison"]["data"]) == (header, rows)
    assert [sentence for (sentence,) in tables["sentences"]["data"]] == comparison.list_sentences()
    images = tables["images"]
    assert images["columns"] == ["variant", "real", "reconstruction", sample]
    assert [row[0] for row in images["data"]] == ["vae"] * IMAGES_PER_VARIANT + ["ae"] * IMAGES_PER_VARIANT + [
        "vaegan3"
    ] * IMAGES_PER_VARIANT
    for variant, *pictures in images["data"]:
        kinds = [picture and picture["_type"] for picture in pictures]
        assert kinds == ["image-file", "image-file", None if variant == "ae" and not words else "image-file"]
    assert read_config(records)["track"]["group"] == "Tiny"
    (kept,) = [artifact for artifact in artifacts if artifact.type == "comparison"]
    assert {entry.path for entry in kept.manifest.contents} == {
        "report.html", "comparison.json", "figures.csv", "findings.csv", "effects.csv", "controls.csv",
        "confusion.csv",
    }  # fmt: skip
    assert Run(folder / "vae" / "seed_5").config.track.group == "Tiny"
