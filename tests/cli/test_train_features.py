"""`vaegan train-features`, and what the other commands make of such a run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from vaegan.config import load_config
from vaegan.storage.loading import load_classifier
from vaegan.storage.run_folder import Run

SMALL = ("model.width=8", "train.batch_size=32", "track.wandb=disabled")
BRIEF = (*SMALL, "train.steps=3")


@pytest.fixture
def refused_after_notes(vaegan):
    """Runs `vaegan WORDS`, which must be refused after notes, and returns its last line."""

    def run(*words: object) -> str:
        code, out, err = vaegan(*words)
        assert (code, out) == (2, ""), err
        return err.splitlines()[-1].removeprefix("vaegan: ")

    return run


@pytest.fixture
def features(work, vaegan) -> Path:
    """A finished classifier."""
    assert vaegan("train-features", "digits", *BRIEF)[0] == 0
    return work / "runs/features/digits"


def write_images(work: Path, *folders: str, count: int = 6) -> tuple[str, ...]:
    """Write images into folders, and return the arguments of a training on them."""
    noise = np.random.default_rng(0)
    for folder in folders:
        (work / "images" / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(work / "images" / folder / f"{number}.png")
    return ("data.root=images", "data.image_size=8", *BRIEF)


def test_a_set_is_learnt_and_measured(work, vaegan):
    longer = ("train.steps=100", "train.learning_rate=0.01", "train.evaluate_every=50")
    code, out, err = vaegan("train-features", "digits", *SMALL, *longer)
    assert code == 0, err
    run = work / "runs/features/digits"
    written = json.loads((run / "metrics.json").read_text())
    metrics, protocol = written["metrics"], written["protocol"]
    assert protocol.pop("origin")["weights"]
    assert metrics.keys() == {
        f"{split}/{name}" for split in ("test", "train") for name in ("accuracy", "cross_entropy")
    }
    assert metrics["test/accuracy"] > 0.7 and metrics["train/accuracy"] > 0.7, "one in ten is chance"
    assert [(key, one["split"], one["images"], one["seed"]) for key, one in protocol.items()] == [
        ("test", "test", 180, 0), ("train", "train", 1437, 0)
    ]  # fmt: skip
    accuracies = [f"{metrics[f'{split}/accuracy']:.1%}" for split in ("test", "train")]
    assert out == (
        f"runs/features/digits: trained 100 steps; right about {accuracies[0]} of 180 test images"
        f" and {accuracies[1]} of 1,437 train images\n"
    )
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    validated = [line["validation/accuracy"] for line in lines if "validation/accuracy" in line]
    assert len(validated) == 2 and validated[0] < validated[1] and validated[1] > 0.7
    assert lines[-2]["accuracy"] > lines[0]["accuracy"]
    assert lines[-2]["loss/cross_entropy"] < lines[0]["loss/cross_entropy"]
    assert not (run / "samples").exists(), "nothing can be drawn of it"


def test_evaluate_measures_it_again(features, vaegan):
    before = (features / "metrics.json").read_bytes()
    (features / "metrics.json").unlink()
    code, out, _ = vaegan("evaluate", features)
    assert code == 0 and (features / "metrics.json").read_bytes() == before
    for name, value in json.loads(before)["metrics"].items():
        assert re.search(rf"{name} +{re.escape(f'{value:.4g}')}", out)
    assert vaegan("evaluate", features, "--split", "validation", "--samples", 20)[0] == 0
    protocol = json.loads((features / "metrics.json").read_text())["protocol"]
    assert {split: protocol[split]["images"] for split in ("validation", "train")} == {"validation": 20, "train": 20}
    assert protocol.keys() == {"validation", "train", "origin"}


def test_train_does_the_same_and_a_resume_measures_what_was_cut_off(features, vaegan, work):
    assert vaegan("train", "digits/features", *BRIEF)[0] == 0
    weights = "model/model.safetensors"
    assert (work / "runs/digits-features" / weights).read_bytes() == (features / weights).read_bytes()
    before, metrics = (features / weights).stat(), (features / "metrics.json").read_bytes()
    assert "holds a run already" in vaegan("train-features", "digits", *BRIEF)[2]
    (features / "metrics.json").unlink()
    code, out, _ = vaegan("train-features", "digits", *BRIEF, "--resume")
    assert code == 0 and out.startswith("runs/features/digits: finished already, with 3 steps; right about ")
    assert (features / weights).stat() == before and (features / "metrics.json").read_bytes() == metrics
    code, out, _ = vaegan("train-features", "digits", *BRIEF, "train.learning_rate=1.0e-3", "--output", "longer")
    assert code == 0
    words = (*BRIEF, "train.learning_rate=1.0e-3", "train.steps=5", "--output", "longer", "--resume", "--extend")
    assert "longer: trained 5 steps; right about" in vaegan("train-features", "digits", *words)[1]


def test_a_config_file(work, vaegan):
    Path("mine.yaml").write_text(yaml.safe_dump({
        "model": {"family": "classifier", "width": 8, "classes": 6},
        "data": {"source": "shapes", "image_size": 16, "channels": 1, "count": 60},
        "train": {"steps": 2, "batch_size": 8}, "track": {"wandb": "disabled"},
    }))  # fmt: skip
    code, out, _ = vaegan("train-features", "mine.yaml", "--dry-run")
    assert code == 0 and {"trunk", "head", "all"} <= set(re.findall(r"^ +(\w+) +[\d,]+ *$", out, re.MULTILINE))
    assert not Path("runs").exists()
    assert vaegan("train-features", "mine.yaml")[0] == 0
    model = load_classifier("runs/features/mine")
    assert model.image_shape == (1, 16, 16) and model.config == load_config("mine.yaml").model


def test_folders_are_classes(work, vaegan):
    words = write_images(work, "cats", "dogs", "fish/cod")
    code, _, err = vaegan("train-features", "folder64", *words)
    assert code == 2
    assert err == "vaegan: model.classes: 10, but the images of data.source have 3 classes; give model.classes=3\n"
    assert not Path("runs").exists()
    assert vaegan("train-features", "folder64", *words, "model.classes=3")[0] == 0
    assert load_classifier("runs/features/folder64").config.classes == 3
    shutil.move("images/fish", "fish")
    assert "trained on: 6 missing: fish/cod/0.png, " in vaegan("evaluate", "runs/features/folder64")[2]


def test_images_without_labels(work, get_error):
    words = write_images(work, ".", "cats")
    for command in (("train-features", "folder64"), ("train", "folder64/features")):
        assert get_error(*command, *words).startswith("data.source: these images have no labels to learn; ")
    for file in (work / "images").glob("*.png"):
        file.unlink()
    assert get_error("train-features", "folder64", *words).startswith(
        "data.source: these images have no labels to learn;"
    )
    assert not (work / "runs").exists()


def test_configs_of_other_families_are_refused(work, get_error):
    message = "digits/vae: model.family=vae: no classifier; use `vaegan train digits/vae`"
    assert get_error("train-features", "digits/vae") == message
    assert "tiny.yaml: model.family=vae: no classifier" in get_error("train-features", "tiny.yaml")
    missing = "digts: neither a config file nor a set with a recipe for this; did you mean digits?; allowed: "
    assert (
        get_error("train-features", "digts")
        == missing + "cifar10 | digits | faces64 | folder128 | folder64 | quickstart | shapes"
    )
    assert "did you mean train.steps?" in get_error("train-features", "digits", "train.step=3")
    assert "model.classes: missing; allowed: integer >= 2" in get_error(
        "train", "tiny.yaml", "model={family: classifier}"
    )
    assert "--resume" in get_error("train-features", "digits", "--extend")
    held_out = get_error("train-features", "digits", *BRIEF, "data.test=0")
    assert held_out == "evaluate.split: test: the run keeps no image in it (data.test is 0)"
    assert not (work / "runs").exists()


def test_commands_for_autoencoders_refuse_a_classifier(features, work, get_error):
    Image.new("RGB", (8, 8)).save("a.png")
    for words in (
        ("sample", features),
        ("reconstruct", features, "a.png"),
        ("interpolate", features, "a.png", "a.png"),
    ):
        message = get_error(*words, "-o", "x.png")
        assert message == f"{features}: the run of a Classifier, no Autoencoder; `vaegan evaluate` measures it"
    assert not Path("x.png").exists()
    variants = {"vae": {"recipe": "tiny.yaml"}, "other": {"recipe": "digits/features"}}
    Path("study.yaml").write_text(yaml.safe_dump({"title": "Two", "variants": variants}))
    message = "study.yaml: variants.other (digits/features): model.family=classifier: a study compares autoencoders"
    assert get_error("compare", "study.yaml") == message


def test_a_classifier_has_no_metrics_to_choose(features, get_error):
    for words in (("--metrics", "psnr"), ("--features", features)):
        assert "a classifier is measured by its accuracy alone" in get_error("evaluate", features, *words)


def test_a_study_finds_its_classifier_beside_itself_and_gives_it_the_classes_of_its_images(work, vaegan):
    folder = work / "studies"
    folder.mkdir()
    own = {"model": {"family": "classifier", "width": 8, "classes": 3}, "train": {"steps": 2, "batch_size": 4}}
    (folder / "own.yaml").write_text(
        yaml.safe_dump({**own, "data": {"source": "shapes", "image_size": 8, "count": 60}})
    )
    study = {"title": "T", "variants": {"v": {"recipe": str(work / "tiny.yaml")}}, "features": "own.yaml"}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    code, _, err = vaegan("compare", "studies/study.yaml", "evaluate.metrics=[sharpness, frechet]", "--output", "out")
    assert code == 0, err
    assert Run(work / "out/features/own").config.model.classes == 6
    metrics = json.loads((work / "out/comparison.json").read_text())["variants"]["v"]["figures"]
    assert "sample/fd_own" in metrics
    page = (work / "out/report.html").read_text()
    assert "vaegan train-features features/own/config.yaml --output again/features/own" in page
    again = "train v/seed_0/config.yaml evaluate.features=features/own --output again/v/seed_0"
    assert f"vaegan {again}\nvaegan evaluate again/v/seed_0" in page
    os.chdir(work / "out")
    assert vaegan(*again.split())[0] == 0 and vaegan("evaluate", "again/v/seed_0")[0] == 0
    both = [json.loads(Path(folder, "metrics.json").read_text()) for folder in ("v/seed_0", "again/v/seed_0")]
    assert both[0]["metrics"] == both[1]["metrics"]
    code, _, err = vaegan("evaluate", "v/seed_0")
    assert code == 2 and err.startswith(
        "vaegan: evaluate.features: out/features/own: no run of `vaegan train-features`"
    )


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("nope", "features: nope: neither a config file nor a set"),
        ("digits/vae", "features: digits/vae: model.family=vae: no classifier"),
        ("..yaml", "features: ..yaml: its name becomes a folder"),
    ],
)
def test_what_is_no_classifier_of_a_study_is_refused(features: str, message: str, work, get_error):
    own = {"model": {"family": "classifier", "classes": 3}, "data": {"source": "digits", "image_size": 8}}
    (work / "..yaml").write_text(yaml.safe_dump({**own, "train": {"steps": 1}}))
    study = {"title": "T", "variants": {"v": {"recipe": "tiny.yaml"}}, "features": features}
    (work / "study.yaml").write_text(yaml.safe_dump(study))
    assert get_error("compare", "study.yaml").startswith(f"study.yaml: {message}")


def test_images_without_labels_have_no_classifier_in_a_study(work, refused_after_notes):
    study = {"title": "T", "variants": {"v": {"recipe": "tiny.yaml"}}, "features": "digits"}
    (work / "study.yaml").write_text(yaml.safe_dump(study))
    write_images(work, ".", count=20)
    message = refused_after_notes("compare", "study.yaml", "data={source: folder, root: images, count: null}")
    assert message.startswith("features: digits: data.source: these images have no labels")


@pytest.mark.long
def test_two_processes_train_and_measure_one_classifier(work, vaegan):
    words = ["train-features", "digits", *BRIEF, "train.dtype=float64"]
    assert vaegan(*words, "--output", "one")[0] == 0
    command = [sys.executable, "-m", "vaegan", *words, "--output", "two", "--processes", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("two: trained 3 steps; right about ") and done.stdout.count("\n") == 1
    one, two = (json.loads((work / name / "metrics.json").read_text()) for name in ("one", "two"))
    for each in (one, two):
        del each["protocol"]["origin"]["weights"]  # a digest; sums are taken in another order
    assert two["protocol"] == one["protocol"] and two["metrics"] == pytest.approx(one["metrics"], rel=1e-9)
    weights = [load_classifier(work / name).state_dict() for name in ("one", "two")]
    torch.testing.assert_close(*weights, rtol=1e-9, atol=1e-12)
