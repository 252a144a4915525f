"""Ctrl-C and SIGTERM in real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vaegan.config import dump_config
from vaegan.storage.run_folder import Run

from ..forked.client import Command, ForkServer
from ..tiny import LOOP_OPTIONS, read_run_files, tiny

LONG = ("train.steps=100000", "--output", "run")


def start(work: Path, *words: str) -> subprocess.Popen[str]:
    """Start a training, and return it once it has logged a step."""
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
    line = process.stderr.readline()
    process.send_signal(number)  # as launchers repeat it, which finds the interpreter at its end
    assert process.communicate(timeout=60) == ("", "")
    run = Run(work / "run")
    assert process.returncode == 130
    assert line == f"vaegan: run: stopped at step {run.exported_step}; go on with --resume\n"
    assert (run.checkpoints / f"step_{run.exported_step:08d}").is_dir()
    assert not run.finished


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
def test_a_signal_while_torch_is_imported(work):
    process = subprocess.Popen(
        [sys.executable, "-m", "vaegan", "train", "tiny.yaml"], stderr=subprocess.PIPE, text=True
    )
    while "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert err == "vaegan: interrupted\n"
    assert not (work / "runs").exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_ctrl_c_ends_an_import_that_swallows_it(rank, tmp_path):
    (tmp_path / "swallowing.py").write_text(
        "import os, signal, time\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(5)\n"
        "except BaseException:\n    pass\n"
    )
    code = (
        "from vaegan.cli.exit_handling import exit_with_one_line\nwith exit_with_one_line():\n"
        "    import swallowing\n    print('swallowed')"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path, "RANK": str(rank), "WORLD_SIZE": "2"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    line = "vaegan: interrupted\n" if rank == 0 else ""
    assert (done.returncode, done.stdout, done.stderr) == (130, "", line)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Trainings that were stopped in an evaluation or in a step of a minute, and were resumed."""
    folder = tmp_path_factory.mktemp("stopped")
    steps = ("train.steps=8", "train.log_every=1", "train.evaluate_every=4", "evaluate.metrics=[psnr]")
    (folder / "config.yaml").write_text(dump_config(tiny("vaegan3", *LOOP_OPTIONS, *steps)))
    again = Command(["train", "config.yaml", "--resume"], "moment 0")
    with ForkServer(folder) as server:
        server.run(
            {
                "slow": [Command(["train", "config.yaml", "train.grace_seconds=1"], "slow SIGTERM@6"), again],
                "stuck": [Command(["train", "config.yaml", "train.grace_seconds=1"], "stuck SIGTERM@6"), again],
                "twice": [Command(["train", "config.yaml"], "twice SIGINT@6"), again],
                "evaluation": [Command(["train", "config.yaml"], "SIGTERM@evaluation"), again],
                "whole": [again],
            }
        )
        yield server


def test_an_evaluation_is_postponed_to_the_resume(server):
    stopped, resumed = server.get_results("evaluation")
    assert (stopped.code, stopped.out) == (130, "")
    assert stopped.err == "vaegan: evaluation: stopped at step 4; go on with --resume\n"
    assert resumed.code == 0
    evaluations = [place for place, moment in enumerate(resumed.moments) if moment.startswith("evaluation")]
    assert evaluations[0] < resumed.moments.index("before compute_gradients") < evaluations[-1]
    assert resumed.moments.count("before compute_gradients") == 4


@pytest.mark.parametrize("how", ["slow", "stuck"])
def test_a_step_longer_than_the_grace_time_is_given_up(server, how):
    """The grace time also ends a call of torch that does not return, as when it waits for a process that is gone."""
    stopped, resumed = server.get_results(how)
    assert (stopped.code, stopped.out) == (130, "") and stopped.seconds < 30
    assert stopped.err == ("vaegan: train.grace_seconds: the 1 s after SIGTERM are over; go on with --resume\n")
    assert resumed.code == 0
    assert resumed.moments.count("before compute_gradients") == 4  # from the checkpoint of step 4


def test_a_second_ctrl_c_does_not_wait_for_the_step(server):
    stopped, resumed = server.get_results("twice")
    assert (stopped.code, stopped.out, stopped.err) == (130, "", "vaegan: interrupted\n")
    assert stopped.seconds < 30
    assert resumed.code == 0
    assert resumed.moments.count("before compute_gradients") == 4


@pytest.mark.parametrize("name", ["evaluation", "slow", "twice"])
def test_a_stopped_training_ends_as_an_undisturbed_one(server, name):
    whole, resumed = read_run_files(server.folder / "whole"), read_run_files(server.folder / name)
    assert resumed.keys() == whole.keys()
    assert [path for path in resumed if resumed[path] != whole[path]] == []
    lines = [json.loads(line) for line in whole["history.jsonl"].splitlines()]
    assert [line["step"] for line in lines if "validation/reconstruction/psnr" in line] == [4, 8]
