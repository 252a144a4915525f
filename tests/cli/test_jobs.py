"""A study whose runs are trained side by side, each by a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from vaegan.config import dump
from vaegan.runs import Run

from ..tiny import left_behind, tiny

WORDS = ("train.steps=6", "train.checkpoint_every=2", "evaluate.metrics=[psnr, sharpness]")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with a study of two variants and two seeds."""
    for name in ("ae", "vae"):
        (tmp_path / f"{name}.yaml").write_text(dump(tiny(name, *WORDS)))
    variants = {name: {"recipe": f"{name}.yaml"} for name in ("vae", "ae")}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"title": "T", "variants": variants, "seeds": [1, 2]}))
    return tmp_path


def start(folder: Path, output: str, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vaegan", "compare", "study.yaml", "--output", output, *words], cwd=folder,
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def runs(folder: Path) -> dict[str, dict[str, bytes]]:
    return {f"{name}/{seed}": left_behind(folder / name / f"seed_{seed}") for name in ("vae", "ae") for seed in (1, 2)}


def test_runs_side_by_side_are_those_of_one_process(study: Path) -> None:
    apart, together = start(study, "apart", "--jobs", "2"), start(study, "together")
    for process in (apart, together):
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        if process is apart:
            assert {line.partition(":")[0] for line in err.splitlines() if "trained 6 steps" in line} == {
                f"{name}/seed_{seed}" for name in ("vae", "ae") for seed in (1, 2)
            }
    assert runs(study / "apart") == runs(study / "together")
    figures = [json.loads((study / name / "comparison.json").read_text())["effects"] for name in ("apart", "together")]
    assert figures[0] == figures[1]


def test_a_stop_is_passed_on_and_gone_on_from(study: Path) -> None:
    endless = ("train.steps=100000", "train.log_every=1", "train.decay=constant")
    process = start(study, "out", "--jobs", "2", *endless)
    histories = [study / "out" / name / "seed_1" / "history.jsonl" for name in ("vae", "ae")]
    end = time.monotonic() + 120
    while not all(file.is_file() and file.stat().st_size for file in histories):
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "vaegan: out: stopped; the same command goes on"
    for name in ("vae", "ae"):
        step = Run(study / "out" / name / "seed_1").exported_step
        assert step and f"{name}/seed_1: vaegan: out/{name}/seed_1: stopped at step {step}; go on with --resume" in err
    assert not (study / "out" / "vae" / "seed_2").exists()


def test_a_failure_is_named_and_begins_nothing_else(study: Path) -> None:
    (study / "out" / "vae").mkdir(parents=True)
    (study / "out" / "vae" / "seed_1").write_text("a file where a folder must be")
    process = start(study, "out", "--jobs", "2")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1].startswith("vaegan: vae/seed_1: ") and "Traceback" not in err
    assert Run(study / "out" / "ae" / "seed_1").finished
    assert not (study / "out" / "ae" / "seed_2").exists()


def test_a_launcher_and_jobs_are_too_much(study: Path) -> None:
    process = start(study, "out", "--jobs", "2", RANK="0", WORLD_SIZE="2")
    assert process.communicate(timeout=60) == (
        "", "vaegan: --jobs: starts processes itself; leave out the launcher, or --jobs\n"
    )  # fmt: skip
