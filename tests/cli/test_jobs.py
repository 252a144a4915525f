"""A study whose runs are trained side by side, each in its own process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from vaegan.config import dump_config
from vaegan.storage.run_folder import Run

from ..forked.client import make_environment
from ..tiny import read_run_files, tiny

WORDS = ("train.steps=6", "train.checkpoint_every=2", "evaluate.metrics=[psnr, sharpness]")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with a study of two variants and two seeds."""
    for name in ("ae", "vae"):
        (tmp_path / f"{name}.yaml").write_text(dump_config(tiny(name, *WORDS)))
    variants = {name: {"recipe": f"{name}.yaml"} for name in ("vae", "ae")}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"title": "T", "variants": variants, "seeds": [1, 2]}))
    return tmp_path


def start(folder: Path, output: str, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vaegan", "compare", "study.yaml", "--output", output, *words], cwd=folder,
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_trainings(folder: Path, process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """Wait until both runs of the first seed have logged a step, and return the process."""
    histories = [folder / "out" / name / "seed_1" / "history.jsonl" for name in ("vae", "ae")]
    end = time.monotonic() + 120
    while not all(file.is_file() and file.stat().st_size for file in histories):
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.05)
    return process


def read_runs(folder: Path) -> dict[str, dict[str, bytes]]:
    return {
        f"{name}/{seed}": read_run_files(folder / name / f"seed_{seed}") for name in ("vae", "ae") for seed in (1, 2)
    }


def test_runs_side_by_side_are_those_of_one_process(study: Path) -> None:
    apart, together = start(study, "apart", "--jobs", "2"), start(study, "together")
    for process in (apart, together):
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        if process is apart:
            assert {line.partition(":")[0] for line in err.splitlines() if "trained 6 steps" in line} == {
                f"{name}/seed_{seed}" for name in ("vae", "ae") for seed in (1, 2)
            }
    assert read_runs(study / "apart") == read_runs(study / "together")
    figures = [json.loads((study / name / "comparison.json").read_text())["effects"] for name in ("apart", "together")]
    assert figures[0] == figures[1]


def test_a_stop_is_passed_on_and_can_be_resumed_from(study: Path) -> None:
    endless = ("train.steps=100000", "train.log_every=1", "train.learning_rate=1.0e-3")
    process = wait_for_trainings(study, start(study, "out", "--jobs", "2", *endless))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "vaegan: out: stopped; the same command goes on"
    for name in ("vae", "ae"):
        step = Run(study / "out" / name / "seed_1").exported_step
        assert step and f"{name}/seed_1: vaegan: out/{name}/seed_1: stopped at step {step}; go on with --resume" in err
    assert not (study / "out" / "vae" / "seed_2").exists()


@pytest.mark.long
def test_a_killed_study_takes_its_trainings_with_it(study: Path) -> None:
    """The trainings stop as after SIGTERM, with a checkpoint."""
    endless = ("train.steps=100000", "train.log_every=1", "train.learning_rate=1.0e-3")
    process = wait_for_trainings(study, start(study, "out", "--jobs", "2", *endless))
    trainings = psutil.Process(process.pid).children()
    assert len(trainings) == 2
    process.kill()
    _, alive = psutil.wait_procs(trainings, timeout=60)
    assert not alive
    process.communicate()
    for name in ("vae", "ae"):
        assert Run(study / "out" / name / "seed_1").exported_step


@pytest.mark.long
def test_after_a_failure_no_other_run_is_started(study: Path) -> None:
    (study / "out" / "vae").mkdir(parents=True)
    (study / "out" / "vae" / "seed_1").write_text("a file where a folder must be")
    process = start(study, "out", "--jobs", "2")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1].startswith("vaegan: vae/seed_1: ") and "Traceback" not in err
    assert Run(study / "out" / "ae" / "seed_1").finished
    assert not (study / "out" / "ae" / "seed_2").exists()


def test_jobs_under_a_launcher_are_refused(study: Path) -> None:
    process = start(study, "out", "--jobs", "2", RANK="0", WORLD_SIZE="2")
    assert process.communicate(timeout=60) == (
        "", "vaegan: --jobs: starts processes itself; leave out the launcher, or --jobs\n"
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_study_that_is_stopped_in_its_evaluation_says_so(number: int, study: Path) -> None:
    process = start(study, "out", "evaluate.metrics=[iwae]", "evaluate.importance_samples=1000000", "seeds=[1]")
    end = time.monotonic() + 120
    while not Run(study / "out" / "ae" / "seed_1").finished:
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.splitlines()[-1]) == (130, "", "vaegan: interrupted")


@pytest.mark.long
def test_the_runs_of_a_study_are_not_the_one_run_of_a_sweep(study: Path) -> None:
    process = start(
        study, "out", "track.wandb=offline", "seeds=[1]", WANDB_RUN_ID="def", WANDB_SWEEP_ID="abc",
        **{name: value for name, value in make_environment(study / "home").items() if name.startswith("WANDB_")},
    )  # fmt: skip
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    run_ids = [path.name.rpartition("-")[2] for path in (study / "out").rglob("offline-run-*")]
    assert len(run_ids) == len(set(run_ids)) == 3 and "def" not in run_ids
