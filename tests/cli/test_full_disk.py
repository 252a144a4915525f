"""A disk that is really full: a small tmpfs, or a limit of file sizes where none can be mounted."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vaegan.config import dump_config
from vaegan.data import open_data
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ..forked.client import drop_progress
from ..tiny import LOOP_OPTIONS, are_bit_identical, flatten, load_newest, tiny

STEPS = 240
WORDS = (
    *LOOP_OPTIONS, f"train.steps={STEPS}", "train.checkpoint_every=50", "train.log_every=2", "train.keep_checkpoints=2",
)  # fmt: skip
DISK_BYTES = 2**21
"""Bytes of the disk: room for a few checkpoints."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same run on a disk with room."""
    config = tiny("vaegan3", *WORDS)
    return train(config, tmp_path_factory.mktemp("undisturbed") / "run", open_data(config.data))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk that holds the config."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("a disk cannot be mounted here")
    (disk / "tiny.yaml").write_text(dump_config(tiny("vaegan3", *WORDS)))
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def start(folder: Path, *words: str, max_file_bytes: int | None = None) -> subprocess.Popen[str]:
    """Start a training in a folder, none of whose files may have more than ``max_file_bytes``."""
    limits = (max_file_bytes, 2**30)
    return subprocess.Popen(
        [sys.executable, "-m", "vaegan", "train", "tiny.yaml", "--output", "run", *words],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, preexec_fn=max_file_bytes and (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)),
    )  # fmt: skip


def fill(disk: Path) -> None:
    """Fill a disk."""
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass


def check_same(run: Run, reference: Run) -> None:
    """Check that a run ended as if there had always been room."""
    assert are_bit_identical(flatten(load_newest(run.path)), flatten(load_newest(reference.path)))
    assert load_newest(run.path).state == load_newest(reference.path).state
    assert run.history_file.read_bytes() == reference.history_file.read_bytes()
    assert run.finished and not list(run.path.rglob("*.partial"))


def read_last_step(run: Run) -> int:
    """Return the step of the last logged line."""
    *whole, _ = run.history_file.read_text().split("\n") if run.history_file.exists() else [""]
    return json.loads(whole[-1])["step"] if whole else 0


def test_a_full_disk_stops_the_training_and_nothing_is_lost(disk: Path, reference: Run) -> None:
    run, process = Run(disk / "run"), start(disk)
    while read_last_step(run) < 60:
        assert process.poll() is None
        time.sleep(0.01)
    fill(disk)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    [message] = drop_progress(err).splitlines()
    assert (
        message.startswith("vaegan: step ")
        and "could not be written: " in message
        and "No space left on device" in message
    )
    kept = load_newest(run.path).step
    assert message.endswith(f"; the checkpoint of step {kept} is kept; make room, then go on with --resume")

    (disk / "ballast").unlink()
    out, err = start(disk, "--resume").communicate(timeout=120)
    assert (out, drop_progress(err)) == (f"run: trained {STEPS} steps; evaluate it with `vaegan evaluate run`\n", "")
    check_same(run, reference)


def test_a_full_disk_is_waited_out_where_the_config_says_so(disk: Path, reference: Run) -> None:
    run, process = Run(disk / "run"), start(disk, "train.disk_full=continue")
    while read_last_step(run) < 60:
        assert process.poll() is None
        time.sleep(0.01)
    fill(disk)
    notes = [process.stderr.readline()]
    while "a checkpoint" not in notes[-1]:
        notes.append(process.stderr.readline())
        assert process.poll() is None, notes
    (disk / "ballast").unlink()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out == f"run: trained {STEPS} steps; evaluate it with `vaegan evaluate run`\n"
    for note in drop_progress("".join([*notes, err])).splitlines():
        assert note.startswith("step ") and note.endswith("; the training goes on without it")
    check_same(run, reference)


def test_the_last_checkpoint_is_not_done_without(disk: Path) -> None:
    run, process = Run(disk / "run"), start(disk, "train.disk_full=continue")
    while read_last_step(run) < 60:
        assert process.poll() is None
        time.sleep(0.01)
    fill(disk)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    kept = load_newest(run.path).step
    end = f"; the checkpoint of step {kept} is kept; make room, then go on with --resume"
    assert err.splitlines()[-1].startswith(f"vaegan: step {STEPS}: a checkpoint could not be written: ")
    assert err.splitlines()[-1].endswith(end) and "Traceback" not in err


@pytest.mark.long
def test_a_quota_stops_the_training(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(dump_config(tiny("vaegan3", *WORDS, "train.steps=60")))
    process = start(tmp_path, max_file_bytes=20_000)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert len(err.splitlines()) == 1 and "File too large" in err
    assert err.startswith("vaegan: step 50: a checkpoint could not be written: ")
    assert err.endswith("; there is no checkpoint yet; make room, then go on with --resume\n")
    assert start(tmp_path, "--resume").wait(timeout=120) == 0
    assert load_newest(tmp_path / "run").step == 60


@pytest.mark.long
def test_a_quota_is_waited_out_where_the_config_says_so(tmp_path: Path, reference: Run) -> None:
    (tmp_path / "tiny.yaml").write_text(dump_config(tiny("vaegan3", *WORDS)))
    process = start(tmp_path, "train.disk_full=continue", max_file_bytes=20_000)
    note = process.stderr.readline()
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2**30, 2**30))
    assert note.startswith("step 50: a checkpoint could not be written: ")
    assert note.endswith("; the training goes on without it\n")
    assert drop_progress(process.communicate(timeout=120)[1]) == ""
    check_same(Run(tmp_path / "run"), reference)


def test_a_signal_while_nothing_can_be_written_says_what_is_lost(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(dump_config(tiny("vaegan3", *WORDS)))
    process = start(tmp_path, "train.disk_full=continue", "train.steps=100000", max_file_bytes=20_000)
    process.stderr.readline()
    process.terminate()
    err = process.communicate(timeout=120)[1].splitlines()
    assert process.returncode == 1 and not list(tmp_path.glob("run/checkpoints/step_????????"))
    assert err[-1].startswith("vaegan: step ") and ": a checkpoint could not be written: " in err[-1]
    assert err[-1].endswith("; there is no checkpoint yet; make room, then go on with --resume")
