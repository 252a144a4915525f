"""What W&B has of a run is what was logged, wherever it is recorded."""

import math
import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from vaegan.trainers.log import tracking
from vaegan.trainers.log.confusion import draw_confusion
from vaegan.trainers.log.tracking import Tracker

from ...wandb_file import read_config, read_history, read_records, read_run, read_runs, select_kind
from ..conftest import tracker_command, tracking_config

pytestmark = pytest.mark.usefixtures("fresh_wandb")


def test_the_offline_file_holds_scalars_images_config_and_model(run_folder, notes) -> None:
    config = tracking_config(project="faces", entity="lab", group="study one", tags=("a", "b"))
    model = run_folder / "model"
    model.mkdir()
    (model / "weights.safetensors").write_bytes(b"weights")
    (model / "config.json").write_text("{}")
    grid = Image.frombytes("RGB", (4, 2), bytes(range(24)))
    matrix = torch.tensor([[9, 1], [2, 8]])

    tracker = Tracker.start(config, run_folder, None, notes.append)
    print("the terminal is not W&B's")
    tracker.log(0, {"loss/kl": 0.1 + 0.2})
    tracker.log(50, {"loss/kl": 1 / 3, "curve": [1.0, 0.5]})
    tracker.log_images(50, {"samples/prior": grid, "samples/reconstruction": grid.rotate(180)})
    tracker.log_confusion(50, "discriminator/confusion", matrix, ("real", "fake"), ("real", "fake"))
    tracker.log(50, {"validation/psnr": 20.5})
    tracker.log(100, {"loss/kl": math.nan})
    tracker.log_artifact(model, "digits/vae gän")
    tracker.finish()
    tracker.log(150, {"late": 1.0})
    assert notes == []

    records = read_run(run_folder)
    first, second, third = read_history(records)
    assert first["loss/kl"] == 0.1 + 0.2
    assert (first["_step"], first["step"]) == (0, 0)
    assert (second["_step"], second["step"]) == (50, 50)
    assert second["loss/kl"] == 1 / 3
    assert second["curve"] == [1.0, 0.5]
    assert second["validation/psnr"] == 20.5
    assert (third["_step"], third["step"]) == (100, 100)
    assert math.isnan(third["loss/kl"])

    (files,) = run_folder.glob("wandb/offline-run-*/files")
    shown = {name: Image.open(files / value["path"]) for name, value in second.items() if isinstance(value, dict)}
    assert {image.format for image in shown.values()} == {"PNG"}
    assert shown["samples/prior"].tobytes() == grid.tobytes()
    assert shown["samples/reconstruction"].tobytes() == grid.rotate(180).tobytes()
    assert (
        shown["discriminator/confusion"].tobytes()
        == draw_confusion(matrix, ("real", "fake"), ("real", "fake")).tobytes()
    )
    assert len(shown) == 3

    assert read_config(records) == config.model_dump(mode="json")
    (run,) = select_kind(records, "run")
    assert (run.project, run.entity, run.run_group, run.display_name) == ("faces", "lab", "study one", "digits-vae")
    assert list(run.tags) == ["a", "b"]
    assert run.run_id == tracker.run_id
    metrics = {metric.name or metric.glob_name: metric.step_metric for metric in select_kind(records, "metric")}
    assert metrics == {"step": "", "*": "step"}

    (artifact,) = select_kind(records, "artifact")
    assert (artifact.type, artifact.name) == ("model", "digits-vae-g-n")
    entries = {entry.path: entry.local_path for entry in artifact.manifest.contents}
    assert entries == {name: str(model / name) for name in ("weights.safetensors", "config.json")}
    assert [exit.exit_code for exit in select_kind(records, "exit")] == [0]
    assert not list((run_folder.parent / "home").rglob("*.safetensors"))  # no copy in the user's home
    assert not select_kind(records, "output_raw")
    assert not select_kind(records, "output")


def test_a_resume_goes_on_in_the_same_run_at_its_own_steps(run_folder, notes) -> None:
    first = Tracker.start(tracking_config(name="mine"), run_folder, None, notes.append)
    first.log(10, {"loss": 1.0})
    first.log(20, {"loss": 0.5})
    first.finish(exit_code=1)
    second = Tracker.start(tracking_config(name="mine"), run_folder, first.run_id, notes.append)
    second.log(20, {"loss": 0.5})
    second.log(30, {"loss": 0.25})
    second.finish()
    assert notes == []
    assert second.run_id == first.run_id
    before, after = read_runs(run_folder)
    assert [(entry["_step"], entry["loss"]) for entry in read_history(before)] == [(10, 1.0), (20, 0.5)]
    assert [(entry["_step"], entry["loss"]) for entry in read_history(after)] == [(20, 0.5), (30, 0.25)]
    assert {run.run_id for records in (before, after) for run in select_kind(records, "run")} == {first.run_id}
    assert {run.display_name for records in (before, after) for run in select_kind(records, "run")} == {"mine"}
    assert select_kind(before, "exit")[0].exit_code == 1


def test_two_runs_at_a_time_are_two_runs(tmp_path, notes) -> None:
    trackers = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        trackers.append(Tracker.start(tracking_config(), tmp_path / name, None, notes.append))
    for tracker, name in zip(trackers, "ab", strict=True):
        tracker.log(1, {name: 1.0})
        tracker.finish()
    assert [[name in entry for entry in read_history(read_run(tmp_path / name))] for name in "ab"] == [[True], [True]]
    assert len(read_history(read_run(tmp_path / "a"))) == 1
    assert notes == []


def test_a_disabled_tracker_writes_nothing_and_keeps_the_id(run_folder, notes) -> None:
    tracker = Tracker.start(tracking_config(wandb="disabled"), run_folder, "kept", notes.append)
    tracker.log(1, {"a": 1.0})
    tracker.log_images(1, {"x": Image.new("L", (2, 2))})
    tracker.log_confusion(1, "c", torch.eye(2), ("a", "b"), ("a", "b"))
    tracker.log_artifact(run_folder / "missing", "m")
    tracker.finish()
    assert (tracker.run_id, os.listdir(run_folder), notes) == ("kept", [], [])


def test_a_run_that_is_not_tracked_does_not_import_wandb(run_folder) -> None:
    child = tracker_command("tracker.log(1, {'a': 1.0}); assert 'wandb' not in sys.modules")
    assert subprocess.run([*child, "disabled", run_folder], check=False).returncode == 0


def test_online_without_an_account_records_offline_and_neither_asks_nor_chatters(run_folder) -> None:
    """On a real terminal, where W&B would show its menu and wait for an answer."""
    command = [*tracker_command("tracker.log(1, {'a': 1.0}); tracker.finish()"), "online", run_folder]
    screen, terminal = pty.openpty()
    child = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown, end = b"", time.monotonic() + 60
    while time.monotonic() < end and child.poll() is None:
        if select.select([screen], [], [], 0.2)[0]:
            try:
                shown += os.read(screen, 4096)
            except OSError:  # the terminal's other end is closed
                break
    try:
        assert child.wait(max(0.1, end - time.monotonic())) == 0, shown
    finally:
        child.kill()
        os.close(screen)
    (line,) = shown.decode().splitlines()
    assert line.startswith("W&B: recording offline, nobody is logged in")
    assert f"wandb sync {run_folder}/wandb/offline-run-*" in line
    assert [entry["a"] for entry in read_history(read_run(run_folder))] == [1.0]


@pytest.mark.parametrize("where", ["environment", "netrc"])
def test_a_server_that_is_not_there_means_offline(run_folder, notes, monkeypatch, capfd, where) -> None:
    monkeypatch.setattr(tracking, "INIT_SECONDS", 1.0)
    if where == "environment":
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    else:
        Path(os.environ["NETRC"]).parent.mkdir(exist_ok=True)
        Path(os.environ["NETRC"]).write_text(f"machine 127.0.0.1:9 login user password {'0' * 40}\n")
    begun = time.monotonic()
    tracker = Tracker.start(tracking_config(wandb="online"), run_folder, None, notes.append)
    assert time.monotonic() - begun < 30
    tracker.log(1, {"a": 1.0})
    tracker.finish()
    assert capfd.readouterr() == ("", "")
    (line,) = notes
    assert "recording offline" in line
    assert "127.0.0.1:9" in line  # it did try, so the key was found
    assert [entry["a"] for entry in read_history(read_run(run_folder))] == [1.0]


@pytest.mark.parametrize(("name", "value"), [("WANDB_API_KEY", "short"), ("WANDB_MODE", "offline")])
def test_a_key_that_is_none_and_a_user_who_wants_no_upload_mean_offline(
    run_folder, notes, monkeypatch, name, value
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv(name, value)
    Tracker.start(tracking_config(wandb="online"), run_folder, None, notes.append).finish()
    assert len(notes) == 1
    assert "recording offline" in notes[0]
    assert len(read_run(run_folder)) > 1


def test_the_reader_joins_pieces_and_sees_a_wrong_byte(run_folder, notes) -> None:
    curve = [float(i) for i in range(40_000)]
    tracker = Tracker.start(tracking_config(), run_folder, None, notes.append)
    for step in range(4):
        tracker.log(step, {"curve": curve[step:], "a": step})
    tracker.finish()
    assert [entry["curve"] for entry in read_history(read_run(run_folder))] == [curve[step:] for step in range(4)]
    (path,) = run_folder.glob("wandb/offline-run-*/*.wandb")
    assert path.stat().st_size > 10 * 32768
    data = path.read_bytes()
    flipped = data[:50_000] + bytes([data[50_000] ^ 1]) + data[50_001:]
    for changed in (data[:-1], data[: 3 * 32768], flipped, b"x" + data[1:]):
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"checksum|no end|not a|out of place"):
            read_records(path)
    path.write_bytes(data)
    whole = read_records(path)
    for length in (0, 7, 12, 3 * 32768 - 3, 3 * 32768, 3 * 32768 + 5, len(data) - 1):
        path.write_bytes(data[:length])
        kept = read_records(path, torn=True)
        assert kept == whole[: len(kept)] and len(kept) < len(whole)
    assert len(kept) == len(whole) - 1
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match="checksum"):
        read_records(path, torn=True)
