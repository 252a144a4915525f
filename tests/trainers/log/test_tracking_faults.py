"""A fault of W&B ends the tracking of a run, with one line, and nothing else."""

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

from ...wandb_file import history, read_run
from ..conftest import script, settings

pytestmark = pytest.mark.usefixtures("alone")


def service():
    """The process ids of W&B's service."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = [int(pid) for file in children for pid in file.read_text().split()]
    return [pid for pid in pids if b"wandb-core" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def kill_service():
    (pid,) = service()
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)


def off(tracker, folder, said, run_id) -> None:
    """Tracking is off, with one line said, and nothing that a training asks of it raises."""
    tracker.log(100, {"a": 1.0})
    tracker.images(100, {"x": Image.new("L", (2, 2))})
    tracker.confusion(100, "c", torch.eye(2), ("a", "b"), ("a", "b"))
    tracker.artifact(folder, "m")
    tracker.finish()
    (line,) = said
    assert line.startswith("W&B: tracking is off")
    assert "\n" not in line
    assert tracker.run_id == run_id


def works_again(folder) -> None:
    """A later run of the same process is tracked."""
    said: list[str] = []
    later = folder / "later"
    later.mkdir()
    tracker = Tracker.start(settings(), later, None, said.append)
    tracker.log(1, {"a": 1.0})
    tracker.finish()
    assert said == []
    assert len(history(read_run(later))) == 1


@pytest.mark.parametrize("when", ["log", "images", "confusion", "artifact", "finish"])
def test_tracking_ends_when_the_service_dies(folder, said, when) -> None:
    tracker = Tracker.start(settings(), folder, None, said.append)
    run_id = tracker.run_id
    tracker.log(1, {"a": 1.0})
    kill_service()
    match when:
        case "log":
            tracker.log(2, {"a": 1.0})
        case "images":
            tracker.images(2, {"x": Image.new("L", (2, 2))})
        case "confusion":
            tracker.confusion(2, "c", torch.eye(2), ("a", "b"), ("a", "b"))
        case "artifact":
            (folder / "model").mkdir()
            tracker.artifact(folder / "model", "m")
        case "finish":
            tracker.finish()
    assert len(said) == 1
    off(tracker, folder, said, run_id)
    works_again(folder)


def test_a_service_that_died_unseen_does_not_end_the_process_badly(folder) -> None:
    child = script(
        "import os, signal, time\n"
        "pids = pathlib.Path('/proc/self/task').glob('*/children')\n"
        "[os.kill(int(pid), signal.SIGKILL) for file in pids for pid in file.read_text().split()]\n"
        "time.sleep(0.3); tracker.log(1, {'a': 1.0}); tracker.finish()"
    )
    done = subprocess.run([*child, "offline", folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def test_a_run_that_cannot_be_opened_is_not_tracked(folder, said, monkeypatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError("no space\nleft")

    with monkeypatch.context() as patch:
        patch.setattr(wandb, "init", refuse)
        tracker = Tracker.start(settings(), folder, "kept", said.append)
    assert "OSError: no space left" in said[0]
    off(tracker, folder, said, "kept")
    works_again(folder)


def test_wandb_that_is_not_installed_is_not_needed(folder, said, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    off(Tracker.start(settings(wandb="online"), folder, None, said.append), folder, said, None)


def test_pictures_that_cannot_be_written_end_tracking_only(folder, said) -> None:
    tracker = Tracker.start(settings(), folder, None, said.append)
    tracker.log(1, {"a": 1.0})
    (files,) = folder.glob("wandb/offline-run-*/files")
    (files / "media").write_text("a file where a folder must be")
    tracker.images(2, {"x": Image.new("L", (2, 2))})
    off(tracker, folder, said, tracker.run_id)
    assert [entry["a"] for entry in history(read_run(folder))] == [1.0]  # what came before is kept
    works_again(folder)


def test_a_matrix_that_cannot_be_drawn_ends_tracking_only(folder, said) -> None:
    tracker = Tracker.start(settings(), folder, None, said.append)
    tracker.confusion(1, "c", torch.eye(3), ("a", "b"), ("a", "b"))
    off(tracker, folder, said, tracker.run_id)


def test_a_model_that_is_missing_ends_tracking_only(folder, said) -> None:
    tracker = Tracker.start(settings(), folder, None, said.append)
    tracker.artifact(folder / "missing", "m")
    off(tracker, folder, said, tracker.run_id)
    works_again(folder)
