"""Ctrl-C and SIGTERM in real processes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vaegan.runs import Run

LONG = ("train.steps=100000", "--output", "run")


def start(work: Path, *words: str) -> subprocess.Popen[str]:
    """A training that has begun."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vaegan", "train", "tiny.yaml", *words],
        cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    history, end = work / "run/history.jsonl", time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        if history.is_file() and history.stat().st_size:
            return process
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate()[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_and_one_line(number, work):
    process = start(work, *LONG)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    run = Run(work / "run")
    assert process.returncode == 130
    assert out == "" and err == f"vaegan: run: stopped at step {run.exported_step}; go on with --resume\n"
    assert (run.checkpoints / f"step_{run.exported_step:08d}").is_dir()
    assert not run.finished


def test_a_second_signal_does_not_wait_for_the_step(work):
    slow = ("model.width=1024", "model.depth=4", "train.batch_size=2000")
    process = start(work, *slow, *LONG)
    process.send_signal(signal.SIGINT)
    time.sleep(1.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.strip() in ("vaegan: interrupted", "vaegan: run: stopped at step 2; go on with --resume"), err


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into a process as Linux lets one")
def test_a_signal_while_torch_is_imported(work):
    process = subprocess.Popen(
        [sys.executable, "-m", "vaegan", "train", "tiny.yaml"], stderr=subprocess.PIPE, text=True
    )
    while "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert err.strip() == "vaegan: interrupted"
    assert not (work / "runs").exists()
