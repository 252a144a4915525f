"""Whether a run is tracked, and where its files lie, as settings, environment and installed packages say."""

import os
import sys
from typing import get_args

import pytest
import torch
import wandb

from vaegan.trainers.log.tracking import Mode, Tracker, choose_mode

from ...wandb_file import read_history, read_run, read_runs
from ..conftest import tracking_config

pytestmark = pytest.mark.usefixtures("fresh_wandb")


@pytest.mark.parametrize(
    ("words", "mode"),
    [("", "online"), ("online", "online"), ("run", "online"), ("shared", "online"), ("offline", "offline"),
     ("dryrun", "offline"), ("disabled", "disabled"), ("OFFLINE", "offline")],
)  # fmt: skip
def test_by_default_the_environment_chooses_the_mode(words, mode, notes, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_MODE", words)
    assert choose_mode(tracking_config(wandb="auto").track.wandb, notes.append) == mode
    assert [choose_mode(given, notes.append) for given in get_args(Mode)] == list(get_args(Mode))
    assert notes == []


def test_an_unknown_mode_of_the_environment_sends_nothing(notes, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "ofline")
    assert choose_mode("auto", notes.append) == "disabled"
    assert notes == ["W&B: tracking is off, WANDB_MODE is ofline; give online, offline or disabled"]


def test_by_default_a_run_is_recorded_offline_where_nobody_is_logged_in(run_folder, notes) -> None:
    tracker = Tracker.start(tracking_config(wandb="auto"), run_folder, None, notes.append)
    tracker.log(1, {"a": 1.0})
    tracker.finish()
    assert len(notes) == 1 and notes[0].startswith("W&B: recording offline, nobody is logged in")
    assert [entry["a"] for entry in read_history(read_run(run_folder))] == [1.0]


def test_by_default_wandb_need_not_be_installed(run_folder, notes, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    tracker = Tracker.start(tracking_config(wandb="auto"), run_folder, "kept", notes.append)
    tracker.log(1, {"a": 1.0})
    tracker.finish()
    assert (tracker.run_id, os.listdir(run_folder), len(notes)) == ("kept", [], 1)
    assert notes[0].startswith("W&B: tracking is off, wandb is not installed; pip install 'vaegan[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    Tracker.start(tracking_config(wandb="auto"), run_folder, None, notes.append)
    assert len(notes) == 1


def test_files_lie_in_wandb_dir_and_are_found_from_the_run_folder(tmp_path, notes, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    run_ids = {}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        tracker = Tracker.start(tracking_config(), tmp_path / name, None, notes.append)
        tracker.log(1, {name: 1.0})
        tracker.finish(exit_code=1)
        run_ids[name] = tracker.run_id
    for name in ("a", "b"):  # killed before a checkpoint could keep the id
        tracker = Tracker.start(tracking_config(), tmp_path / name, None, notes.append)
        tracker.log(2, {name: 2.0})
        tracker.finish()
        assert tracker.run_id == run_ids[name]
        assert [[entry[name] for entry in read_history(run)] for run in read_runs(tmp_path / name)] == [[1.0], [2.0]]
        files = list((tmp_path / name / "wandb").iterdir())
        assert len(files) == 2 and all(file.resolve().parent == tmp_path / "elsewhere" / "wandb" for file in files)
    assert notes == []


def test_without_matplotlib_only_confusion_matrices_are_left_out(run_folder, notes, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    tracker = Tracker.start(tracking_config(), run_folder, None, notes.append)
    tracker.log_confusion(1, "c", torch.eye(2), ("a", "b"), ("a", "b"))
    tracker.log(1, {"a": 1.0})
    tracker.finish()
    (line,) = notes
    assert "confusion matrices are left out" in line and "pip install 'vaegan[wandb]'" in line
    (entry,) = read_history(read_run(run_folder))
    assert entry["a"] == 1.0 and "c" not in entry


def test_without_a_home_folder_in_the_environment_the_service_prints_nothing(
    run_folder, notes, monkeypatch, capfd
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    tracker = Tracker.start(tracking_config(wandb="offline"), run_folder, None, notes.append)
    tracker.log(1, {"a": 1.0})
    tracker.finish()
    wandb.teardown()
    assert notes == [] and capfd.readouterr() == ("", "")
    assert [entry["a"] for entry in read_history(read_run(run_folder))] == [1.0]


def test_a_folder_that_is_no_utf_8_is_one_line(tmp_path, notes) -> None:
    Tracker.start(tracking_config(wandb="offline"), tmp_path / "run\udce9", None, notes.append)
    assert len(notes) == 1 and "run\\udce9 is no UTF-8" in notes[0] and notes[0].endswith("the training goes on")
