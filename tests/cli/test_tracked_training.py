"""A training as a user starts it, and what its W&B file holds afterwards."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from vaegan.config import dump_config
from vaegan.storage.run_folder import Run

from ..forked.client import make_environment
from ..tiny import tiny
from ..wandb_file import read_config, read_history, read_run, select_kind


@pytest.fixture(scope="module", params=[pytest.param("vaegan2", marks=pytest.mark.long), "vaegan3"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("tracked")
    words = ("track.wandb=offline", "train.sample_every=4", "train.steps=6", "train.evaluate_every=4")
    config = tiny(request.param, *words)
    (folder / "tiny.yaml").write_text(dump_config(config))
    command = [sys.executable, "-m", "vaegan", "train", "tiny.yaml", "evaluate.metrics=[psnr]", "--output", "run"]
    home = make_environment(folder / "home")
    done = subprocess.run(command, cwd=folder, env=home, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "W&B" not in done.stderr, done.stderr
    return Run(folder / "run")


def test_every_scalar_of_the_history_is_in_the_file(run: Run) -> None:
    logged: dict[int, dict[str, object]] = {}
    for entry in read_history(read_run(run.path)):
        logged.setdefault(entry["step"], {}).update(entry)
    lines = [json.loads(line) for line in run.history_file.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 4, 4, 6]
    names = set()
    for line in lines:
        scalars = {key: value for key, value in line.items() if isinstance(value, float)}
        assert scalars.items() <= logged[line["step"]].items()
        names |= scalars.keys()
    assert {"loss/kl", "loss/adversarial", "loss/discriminator", "loss/r1", "loss/similarity"} <= names
    assert {"gradient/autoencoder", "gradient/discriminator", "discriminator/accuracy"} <= names
    assert {"gap/mmd2", "gap/frechet", "validation/reconstruction/psnr"} <= names
    assert {"timing/images_per_second", "timing/memory_bytes"} <= logged[6].keys()


def test_grids_and_confusion_matrices_are_pictures_in_the_file(run: Run) -> None:
    pictures = {
        (entry["step"], key): value["path"]
        for entry in read_history(read_run(run.path))
        for key, value in entry.items()
        if isinstance(value, dict)
    }
    for step in (4, 6):
        for kind in ("reconstruction", "sample"):
            (files,) = run.path.glob("wandb/offline-run-*/files")
            shown = Image.open(files / pictures[step, f"grid/{kind}"])
            assert shown.tobytes() == Image.open(run.samples / f"step_{step:08d}_{kind}.png").tobytes()
    assert {step for step, key in pictures if key == "discriminator/confusion"} == {1, 2, 4, 6}


def test_the_config_and_the_final_weights_are_in_the_file(run: Run) -> None:
    records = read_run(run.path)
    assert read_config(records) == run.config.model_dump(mode="json")
    (artifact,) = select_kind(records, "artifact")
    files = {entry.path: Path(entry.local_path) for entry in artifact.manifest.contents}
    assert files == {name: run.model_folder / name for name in ("model.safetensors", "config.json")}
