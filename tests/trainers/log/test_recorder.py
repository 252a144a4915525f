"""A recorder counts every second once, and a resume completes what a kill left incomplete."""

import errno
import json
import shutil
import time
from pathlib import Path

from vaegan.data import open_data
from vaegan.trainers import train
from vaegan.trainers.log.history import History

from ...tiny import read_run_files, tiny


def test_seconds_that_could_not_be_written_are_counted_once(tmp_path: Path, monkeypatch) -> None:
    config = tiny("vae", "train.disk_full=continue", "train.log_every=1", "train.steps=6")
    flush, failed, start = History.flush, [], time.monotonic()

    def fail_twice(history: History) -> None:
        if str(history._file.name).endswith("timing.jsonl") and len(failed) < 2:
            time.sleep(0.5)
            failed.append(history)
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(history)

    monkeypatch.setattr(History, "flush", fail_twice)
    run = train(config, tmp_path / "run", open_data(config.data))
    lines = [json.loads(line) for line in run.timing_file.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6] and len(failed) == 2
    assert sum(line["seconds"] for line in lines) <= time.monotonic() - start


def test_grids_that_a_kill_left_incomplete_are_drawn_by_the_resume(tmp_path: Path) -> None:
    config = tiny("vae", "train.sample_every=2", "train.checkpoint_every=2", "train.steps=4")
    data = open_data(config.data)
    run = train(config, tmp_path / "run", data)
    whole = read_run_files(run.path)
    (run.samples / "step_00000004_sample.png").unlink()
    shutil.rmtree(run.model_folder)
    train(config, run.path, data, resume=True)
    assert read_run_files(run.path) == whole
