"""What happens to one process of a launch ends all of them soon, with a line that says why and no lost work."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaegan.config import dump
from vaegan.data import open_data
from vaegan.runs import Run
from vaegan.trainers import train

from ..tiny import EVERYTHING, farthest, flat, last, tiny
from .launched import TORCHRUN, VAEGAN, Launch
from .pool import free_port

SOON = 60.0
"""Seconds within which nobody waits any more for who has gone."""
LONG = ("train.steps=100000", "train.checkpoint_every=5")
TRAIN = ("train", "tiny.yaml", "--output", "run")
LOST = "another process of this launch has ended; go on from the last checkpoint with --resume"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with the config."""
    (tmp_path / "tiny.yaml").write_text(dump(tiny("vaegan3", *LONG)))
    return tmp_path


def checkpointed(launch: Launch) -> int:
    """Wait for a checkpoint; the step of the newest one then."""
    while not (launch.run / "checkpoints").is_dir() or not any((launch.run / "checkpoints").glob("step_????????")):
        assert launch.process.poll() is None
        time.sleep(0.02)
    return last(launch.run).step


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_others(work: Path, rank: int) -> None:
    launch = Launch(work, *VAEGAN, *TRAIN, "--processes", "2").begun()
    step = checkpointed(launch)
    os.kill(launch.worker(rank), signal.SIGKILL)
    start = time.monotonic()
    code, out, err = launch.ended()
    assert time.monotonic() - start < SOON
    assert (code, out) == (1, "")
    other = "vaegan" if rank else "[rank 1] vaegan"
    assert set(err.splitlines()) == {f"{other}: {LOST}", f"vaegan: process {rank} was ended by SIGKILL"}
    kept = last(launch.run).step
    assert kept >= step
    assert Launch(work, *VAEGAN, *TRAIN, "--resume").begun(kept).stopped() > kept


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), pytest.param(2, 2, marks=pytest.mark.long)])
def test_a_killed_launch_goes_on_with_other_processes_as_if_it_had_not_been(before, after, tmp_path: Path) -> None:
    words = ("train.dtype=float64", "train.steps=200", "train.checkpoint_every=5", "train.log_every=7")
    config = tiny("vaegan3", *EVERYTHING, *words)
    (tmp_path / "tiny.yaml").write_text(dump(config))
    alone = train(config, tmp_path / "alone", open_data(config.data))
    launch = Launch(tmp_path, *VAEGAN, *TRAIN, "--processes", str(before)).begun(6)
    launch.lose()
    assert launch.ended()[0] == -signal.SIGKILL
    killed = last(launch.run).step
    assert 5 <= killed < 200
    assert Launch(tmp_path, *VAEGAN, *TRAIN, "--processes", str(after), "--resume").ended()[0] == 0
    difference, where = farthest(flat(last(alone.path)), flat(last(launch.run)))
    assert difference < 1e-8, where
    lines = [[json.loads(line)["step"] for line in run.history_file.open()] for run in (alone, Run(launch.run))]
    assert lines[0] == lines[1]


def test_a_second_ctrl_c_stops_all_processes_at_once(work: Path) -> None:
    slow = ("model.width=1024", "model.depth=4", "train.batch_size=2000", "train.log_every=1")
    launch = Launch(work, *VAEGAN, *TRAIN, *slow, "--processes", "2")
    while not Run(launch.run).exists:
        assert launch.process.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    for _ in range(2):
        launch.process.send_signal(signal.SIGINT)
        time.sleep(1.5)
    assert launch.process.wait(timeout=20) == 130
    assert "vaegan: interrupted" in launch.ended()[2] and not Run(launch.run).checkpoints.exists()


def test_a_lost_machine_ends_the_other(work: Path) -> None:
    meeting = ("--nnodes=2", "--nproc_per_node=1", "--master_addr=127.0.0.1", f"--master_port={free_port()}")
    machines = [Launch(work, *TORCHRUN, *meeting, f"--node_rank={rank}", "-m", "vaegan", *TRAIN) for rank in range(2)]
    checkpointed(machines[0].begun())
    machines[1].lose()
    start = time.monotonic()
    code, _, err = machines[0].ended()
    assert time.monotonic() - start < SOON
    assert code != 0 and f"vaegan: {LOST}\n" in err
    machines[1].ended()


def test_a_signal_to_the_launch_leaves_a_checkpoint(work: Path) -> None:
    step = Launch(work, *VAEGAN, *TRAIN, "--processes", "2").begun().stopped()
    launch = Launch(work, *VAEGAN, *TRAIN, "--processes", "2", "--resume").begun(step)
    launch.process.send_signal(signal.SIGINT)
    code, out, err = launch.ended()
    more = last(launch.run).step
    assert (code, out, err) == (130, "", f"vaegan: run: stopped at step {more}; go on with --resume\n") and more > step


def truncate(path: Path) -> None:
    """Leave the beginning of a file."""
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("spoil", [Path.unlink, pytest.param(truncate, marks=pytest.mark.long)])
def test_an_image_that_one_process_cannot_read_any_more_stops_both(tmp_path: Path, spoil) -> None:
    (tmp_path / "images").mkdir()
    files = [tmp_path / f"images/{number:02d}.png" for number in range(16)]
    noise = np.random.default_rng(0)
    for file in files:
        Image.fromarray(noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
    words = ("data.source=folder", "data.root=images", "data.channels=3", "data.cache=none", "data.workers=1",
             "data.validation=0", "data.test=0", "train.steps=100000", "train.checkpoint_every=null")  # fmt: skip
    (tmp_path / "tiny.yaml").write_text(dump(tiny("vaegan3")))
    launch = Launch(tmp_path, *VAEGAN, *TRAIN, *words, "--processes", "2").begun()
    assert not Run(launch.run).checkpoints.exists()
    whole = files[3].read_bytes()
    spoil(files[3])
    code, out, err = launch.ended()
    step = last(launch.run).step
    assert (code, out) == (1, "") and err.startswith(f"vaegan: {files[3]}: ")
    assert err.endswith(f"mend or restore this image, then resume (the checkpoint of step {step} is kept)\n")
    assert len(err.splitlines()) == 1 and step > 0

    files[3].write_bytes(whole)
    assert Launch(tmp_path, *VAEGAN, *TRAIN, *words, "--resume").begun(step).stopped() > step
