"""A study whose runs a scheduler trains, from the lines that `compare --list-runs` prints."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from vaegan.config import dump_config, load_study
from vaegan.evaluate.study import train_study
from vaegan.progress import Reporter

from ..evaluate.studies import train_one
from ..tiny import VQVAE_SIZES, tiny

STUDY = {
    "title": "T",
    "variants": {"vqvae": {"recipe": "vqvae.yaml"}, "pixelcnn": {"recipe": "pixelcnn.yaml", "prior": "vqvae"}},
    "features": "features.yaml",
    "shared": {
        "train": {"steps": 4, "batch_size": 8, "checkpoint_every": 2},
        "evaluate": {"metrics": ["psnr", "kid"], "samples": 20},
        "track": {"wandb": "disabled"},
    },
}
"""A classifier, an autoencoder and a prior, each of which needs the one before."""
STAGES = ("features/features", "vqvae/seed_0", "pixelcnn/seed_0")


@pytest.fixture
def study(work: Path) -> Path:
    digits = {"source": "digits", "image_size": 8, "channels": 1}
    for name, model in (("vqvae", {"width": 8, **VQVAE_SIZES}), ("pixelcnn", {"width": 8, "depth": 1})):
        recipe = {"model": {"family": name, **model}, "data": digits, "train": {"steps": 1}}
        (work / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    (work / "features.yaml").write_text(dump_config(tiny("classifier")))
    (work / "study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    return work


def read_weights(folder: Path) -> dict[str, bytes]:
    """Return the contents of all checkpoints, models and histories of a study."""
    files = [*folder.rglob("*.safetensors"), *folder.rglob("history.jsonl")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if "controls" not in file.parts}


def test_a_printed_line_trains_what_the_study_trains(work: Path, vaegan) -> None:
    (work / "ae.yaml").write_text(dump_config(tiny("ae", "train.checkpoint_every=2", "evaluate.metrics=[psnr]")))
    (work / "one.yaml").write_text(yaml.safe_dump({"title": "T", "variants": {"a": {"recipe": "ae.yaml"}}}))
    code, out, err = vaegan("compare", "one.yaml", "--output", "listed", "--list-runs")
    assert (code, out.count("\n"), err) == (0, 1, "")
    assert vaegan(*shlex.split(out)[1:])[0] == 0
    loaded = load_study("one.yaml")
    train_study(loaded.study, loaded.configs, work / "alone", train_one, Reporter())
    assert read_weights(work / "listed") == read_weights(work / "alone") and len(read_weights(work / "alone")) > 5


@pytest.mark.long
def test_the_printed_lines_of_all_stages_train_what_compare_trains(study: Path, vaegan) -> None:
    compare, folder = ("compare", "study.yaml", "--output"), study / "a folder"
    for stage, later in zip(STAGES, (2, 1, 0), strict=True):
        code, out, err = vaegan(*compare, folder, "--list-runs")
        config = folder / "configs" / f"{stage.replace('/', '-')}.yaml"
        line = shlex.join(["vaegan", "train", str(config), "--output", str(folder / stage), "--resume"])
        assert (code, out) == (0, f"{line}\n"), err
        more = f"{folder}: {later} more runs need some of these; when they are trained, list again\n"
        assert err == (more if later else "")
        if stage == STAGES[0]:  # in a real shell, from elsewhere
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            subprocess.run(
                ["sh", "-c", out], cwd="/", env={**os.environ, "PATH": path}, check=True, capture_output=True
            )
        else:
            assert vaegan(*shlex.split(out)[1:])[0] == 0
    code, out, err = vaegan(*compare, folder, "--list-runs")
    assert (code, out) == (0, "") and "every run is trained; the same command without --list-runs evaluates" in err
    before = read_weights(folder)
    assert vaegan(*compare, folder)[0] == 0 and vaegan(*compare, "alone")[0] == 0
    after = read_weights(folder)
    assert before.items() <= after.items(), "they are evaluated, and not trained again"
    assert after == read_weights(study / "alone") and len(after) > 20
    for stage in STAGES:
        one, other = (json.loads((place / stage / "metrics.json").read_text()) for place in (folder, study / "alone"))
        assert one["metrics"] == other["metrics"]


def test_commands_as_json(study: Path, vaegan) -> None:
    (study / "two.yaml").write_text(yaml.safe_dump({"title": "T", "variants": {"a": {"recipe": "tiny.yaml"}}}))
    words = ("compare", "two.yaml", "seeds=[1, 2]", "--output", "out", "--list-runs", "--json", "--processes", "2")
    code, out, err = vaegan(*words)
    assert (code, err) == (0, "")
    listed = json.loads(out)
    assert listed["later"] == 0 and [run["name"] for run in listed["runs"]] == ["a/seed_1", "a/seed_2"]
    for run in listed["runs"]:
        assert run["folder"] == str(study / "out" / run["name"])
        assert run["command"][-3:] == ["--resume", "--processes", "2"] and run["command"][4] == run["folder"]
    seeds = [yaml.safe_load((study / f"out/configs/a-seed_{seed}.yaml").read_text())["seed"] for seed in (1, 2)]
    assert seeds == [1, 2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json"], "--json: prints the commands of --list-runs"),
        (["--list-runs", "--jobs", "2"], "--list-runs: trains nothing; leave out --jobs"),
    ],
)
def test_options_that_exclude_each_other(words: list[str], message: str, study: Path, get_error) -> None:
    assert get_error("compare", "study.yaml", *words).startswith(message)
