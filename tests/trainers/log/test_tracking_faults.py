"""A fault of W&B ends the tracking of a run, with one note, and nothing else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import wandb
from PIL import Image

from vaegan.trainers.log.tracking import Tracker

from ...wandb_file import read_history, read_run
from ..conftest import tracker_command, tracking_config

pytestmark = pytest.mark.usefixtures("fresh_wandb")


def get_service_pids() -> list[int]:
    """Return the process ids of W&B's service."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = [int(pid) for file in children for pid in file.read_text().split()]
    return [pid for pid in pids if b"wandb-core" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def kill_service() -> None:
    (pid,) = get_service_pids()
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)


def check_off(tracker, run_folder, notes, run_id) -> None:
    """Check that tracking is off, with one note, and that no method of the tracker raises."""
    tracker.log(100, {"a": 1.0})
    tracker.log_images(100, {"x": Image.new("L", (2, 2))})
    tracker.log_confusion(100, "c", torch.eye(2), ("a", "b"), ("a", "b"))
    tracker.log_artifact(run_folder, "m")
    tracker.finish()
    (line,) = notes
    assert line.startswith("W&B: tracking is off")
    assert "\n" not in line
    assert tracker.run_id == run_id


def check_works_again(run_folder) -> None:
    """Check that a later run of the same process is tracked."""
    notes: list[str] = []
    later = run_folder / "later"
    later.mkdir()
    tracker = Tracker.start(tracking_config(), later, None, notes.append)
    tracker.log(1, {"a": 1.0})
    tracker.finish()
    assert notes == []
    assert len(read_history(read_run(later))) == 1


@pytest.mark.parametrize("method", ["log", "log_images", "log_confusion", "log_artifact", "finish"])
def test_tracking_ends_when_the_service_dies(run_folder, notes, method) -> None:
    tracker = Tracker.start(tracking_config(), run_folder, None, notes.append)
    run_id = tracker.run_id
    tracker.log(1, {"a": 1.0})
    kill_service()
    match method:
        case "log":
            tracker.log(2, {"a": 1.0})
        case "log_images":
            tracker.log_images(2, {"x": Image.new("L", (2, 2))})
        case "log_confusion":
            tracker.log_confusion(2, "c", torch.eye(2), ("a", "b"), ("a", "b"))
        case "log_artifact":
            (run_folder / "model").mkdir()
            tracker.log_artifact(run_folder / "model", "m")
        case "finish":
            tracker.finish()
    assert len(notes) == 1
    check_off(tracker, run_folder, notes, run_id)
    check_works_again(run_folder)


def test_a_service_that_died_unseen_does_not_end_the_process_badly(run_folder) -> None:
    child = tracker_command(
        "import os, signal, time\n"
        "pids = pathlib.Path('/proc/self/task').glob('*/children')\n"
        "[os.kill(int(pid), signal.SIGKILL) for file in pids for pid in file.read_text().split()]\n"
        "time.sleep(0.3); tracker.log(1, {'a': 1.0}); tracker.finish()"
    )
    done = subprocess.run([*child, "offline", run_folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def test_a_run_that_cannot_be_opened_is_not_tracked(run_folder, notes, monkeypatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError("no space\nleft")

    with monkeypatch.context() as patch:
        patch.setattr(wandb, "init", refuse)
        tracker = Tracker.start(tracking_config(), run_folder, "kept", notes.append)
    assert "OSError: no space left" in notes[0]
    check_off(tracker, run_folder, notes, "kept")
    check_works_again(run_folder)


def test_wandb_that_is_not_installed_is_not_needed(run_folder, notes, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    check_off(Tracker.start(tracking_config(wandb="online"), run_folder, None, notes.append), run_folder, notes, None)


def test_pictures_that_cannot_be_written_end_tracking_only(run_folder, notes) -> None:
    tracker = Tracker.start(tracking_config(), run_folder, None, notes.append)
    tracker.log(1, {"a": 1.0})
    (files,) = run_folder.glob("wandb/offline-run-*/files")
    (files / "media").write_text("a file where a run_folder must be")
    tracker.log_images(2, {"x": Image.new("L", (2, 2))})
    check_off(tracker, run_folder, notes, tracker.run_id)
    assert [entry["a"] for entry in read_history(read_run(run_folder))] == [1.0]  # what came before is kept
    check_works_again(run_folder)


def test_a_matrix_that_cannot_be_drawn_ends_tracking_only(run_folder, notes) -> None:
    tracker = Tracker.start(tracking_config(), run_folder, None, notes.append)
    tracker.log_confusion(1, "c", torch.eye(3), ("a", "b"), ("a", "b"))
    check_off(tracker, run_folder, notes, tracker.run_id)


def test_a_model_that_is_missing_ends_tracking_only(run_folder, notes) -> None:
    tracker = Tracker.start(tracking_config(), run_folder, None, notes.append)
    tracker.log_artifact(run_folder / "missing", "m")
    check_off(tracker, run_folder, notes, tracker.run_id)
    check_works_again(run_folder)
