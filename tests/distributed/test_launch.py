"""Every documented way to start several processes trains what one process trains, and ends all of them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from vaegan.api import evaluate_run
from vaegan.storage.run_folder import Run

from ..forked.ports import find_free_port
from ..tiny import find_largest_difference, flatten, load_newest
from .launches import TORCHRUN, VAEGAN, Launch

TRAIN = ("train", "tiny.yaml", "--output", "run")
ENDLESS = ("train.steps=100000", "train.checkpoint_every=5", "train.learning_rate=1.0e-3")
END_SECONDS = 60.0
"""Longest time that a process waits for one that has ended."""
LOST = "another process of this launch has ended; go on with --resume"


def check_equal(run: Run, alone: Run) -> None:
    """Check that both runs hold the same weights."""
    difference, where = find_largest_difference(flatten(load_newest(alone.path)), flatten(load_newest(run.path)))
    assert difference < 1e-8, where


def test_processes_of_one_machine(work: Path, alone: Run) -> None:
    launch = Launch(work, *VAEGAN, *TRAIN, "--processes", "2")
    assert launch.wait() == (0, "run: trained 5 steps; evaluate it with `vaegan evaluate run`\n", "")
    assert launch.read_process_counts() == {2}
    check_equal(Run(launch.run), alone)

    metrics = evaluate_run(launch.run).metrics
    (launch.run / "metrics.json").unlink()
    code, out, err = Launch(work, *VAEGAN, "evaluate", "run", "--processes", "3").wait()
    assert code == 0 and err == "" and "reconstruction/psnr" in out, (out, err)
    assert json.loads((launch.run / "metrics.json").read_text())["metrics"] == pytest.approx(metrics, rel=1e-8)

    resumed = Launch(work, *VAEGAN, *TRAIN, "--processes", "2", "--resume")
    assert resumed.wait() == (0, "run: finished already, with 5 steps; evaluate it with `vaegan evaluate run`\n", "")


@pytest.mark.long
def test_a_study_in_two_processes(work: Path) -> None:
    (work / "study.yaml").write_text("title: One\nvariants: {one: {recipe: tiny.yaml}}\n")
    code, out, err = Launch(work, *VAEGAN, "compare", "study.yaml", "--output", "study", "--processes", "2").wait()
    assert code == 0, err
    assert out.rstrip().endswith("study/report.html") and (work / "study/report.html").is_file()
    lines = [json.loads(line) for line in (work / "study/one/seed_0/timing.jsonl").read_text().splitlines()]
    assert {line["processes"] for line in lines} == {2}


@pytest.mark.long
def test_torchrun(work: Path, alone: Run) -> None:
    launch = Launch(work, *TORCHRUN, "--standalone", "--nproc_per_node=2", "-m", "vaegan", *TRAIN)
    code, out, err = launch.wait()
    assert (code, out) == (0, "run: trained 5 steps; evaluate it with `vaegan evaluate run`\n"), err
    assert launch.read_process_counts() == {2}
    check_equal(Run(launch.run), alone)


@pytest.mark.long
def test_two_machines_that_meet(work: Path, alone: Run) -> None:
    meeting = ("--nnodes=2", "--nproc_per_node=1", "--master_addr=127.0.0.1", f"--master_port={find_free_port()}")
    machines = [Launch(work, *TORCHRUN, *meeting, f"--node_rank={rank}", "-m", "vaegan", *TRAIN) for rank in range(2)]
    ends = [machine.wait() for machine in machines]
    assert [code for code, *_ in ends] == [0, 0], ends
    assert [out for _, out, _ in ends] == ["run: trained 5 steps; evaluate it with `vaegan evaluate run`\n", ""]
    assert machines[0].read_process_counts() == {2}
    check_equal(Run(machines[0].run), alone)


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="Open MPI is not installed")
def test_accelerate_through_mpirun(work: Path, alone: Run) -> None:
    (work / "hosts").write_text("localhost slots=2\n")
    accelerate = Path(sys.executable).with_name("accelerate")
    machine = ("--num_machines=1", "--main_process_ip=127.0.0.1", f"--main_process_port={find_free_port()}")
    launch = Launch(
        work, str(accelerate), "launch", "--cpu", "--num_processes=2", "--mpirun_hostfile=hosts", *machine,
        "-m", "vaegan", *TRAIN, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
        PATH=f"{accelerate.parent}:{Path(shutil.which('mpirun')).parent}:/usr/bin:/bin",
    )  # fmt: skip
    code, out, err = launch.wait()
    assert (code, out) == (0, "run: trained 5 steps; evaluate it with `vaegan evaluate run`\n"), err
    assert launch.read_process_counts() == {2}
    check_equal(Run(launch.run), alone)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_accelerate_on_gpus(work: Path, alone: Run) -> None:
    accelerate = Path(sys.executable).with_name("accelerate")
    command = (str(accelerate), "launch", "--multi_gpu", "--num_processes=2", "-m", "vaegan")
    launch = Launch(work, *command, *TRAIN, CUDA_VISIBLE_DEVICES="0,1")
    code, _, err = launch.wait()
    assert code == 0, err
    assert launch.read_process_counts() == {2}
    check_equal(Run(launch.run), alone)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--processes", "3"), "train.batch_size: 8 is not a multiple of the 3 processes that share it"),
        (("--processes", "2", "data.source=folder", "data.root=nowhere"), "nowhere: no such folder"),
        pytest.param(("--processes", "2", "train.steps=x"), "train.steps: ", marks=pytest.mark.long),
        pytest.param(("--processes", "2", "--extend"), "--extend: makes a resumed", marks=pytest.mark.long),
    ],
)
def test_a_user_error_is_printed_once(work: Path, words: tuple[str, ...], message: str) -> None:
    code, out, err = Launch(work, *VAEGAN, *TRAIN, *words).wait()
    assert (code, out) == (2, "") and message in err
    assert len(err.splitlines()) == 1 and err.startswith("vaegan: ")


LOST_RANK_0 = """
import os, time
from torch.distributed import TCPStore
store = TCPStore("127.0.0.1", 0, 2, True, wait_for_workers=False)
print(store.port, flush=True)
while not store.num_keys():
    time.sleep(0.1)
os._exit(1)
"""
"""Script of a rank 0 that ends as soon as rank 1 begins to meet it."""


def test_a_process_that_meets_no_other_says_so(work: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", LOST_RANK_0], stdout=subprocess.PIPE, text=True) as host:
        port = host.stdout.readline().strip()
        variables = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        launch = Launch(work, *VAEGAN, *TRAIN, MASTER_ADDR="127.0.0.1", MASTER_PORT=port, **variables)
        assert launch.wait() == (1, "", "[rank 1] vaegan: another process of this launch has ended; start again\n")


def wait_for_checkpoint(launch: Launch) -> int:
    """Wait for a checkpoint, and return the step of the newest one."""
    while not (launch.run / "checkpoints").is_dir() or not any((launch.run / "checkpoints").glob("step_????????")):
        assert launch.process.poll() is None
        time.sleep(0.02)
    return load_newest(launch.run).step


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.long), 1])
def test_a_killed_process_ends_the_launch(work: Path, rank: int) -> None:
    launch = Launch(work, *VAEGAN, *TRAIN, *ENDLESS, "--processes", "2").wait_for_step()
    step = wait_for_checkpoint(launch)
    os.kill(launch.find_rank(rank), signal.SIGKILL)
    start = time.monotonic()
    code, out, err = launch.wait()
    assert time.monotonic() - start < END_SECONDS
    assert (code, out) == (1, "")
    other = "vaegan" if rank else "[rank 1] vaegan"
    assert set(err.splitlines()) == {f"{other}: {LOST}", f"vaegan: process {rank} was ended by SIGKILL"}
    assert load_newest(launch.run).step >= step


@pytest.mark.long
def test_a_lost_machine_ends_the_other(work: Path) -> None:
    meeting = ("--nnodes=2", "--nproc_per_node=1", "--master_addr=127.0.0.1", f"--master_port={find_free_port()}")
    words = ("-m", "vaegan", *TRAIN, *ENDLESS)
    machines = [Launch(work, *TORCHRUN, *meeting, f"--node_rank={rank}", *words) for rank in range(2)]
    wait_for_checkpoint(machines[0].wait_for_step())
    machines[1].kill()
    start = time.monotonic()
    code, _, err = machines[0].wait()
    assert time.monotonic() - start < END_SECONDS
    assert code != 0 and f"vaegan: {LOST}\n" in err
    machines[1].wait()


def test_a_signal_to_the_launch_leaves_a_checkpoint(work: Path) -> None:
    train = (*VAEGAN, *TRAIN, *ENDLESS, "--processes", "2", "--resume")
    step = Launch(work, *train).wait_for_step().stop()
    launch = Launch(work, *train).wait_for_step(step)
    launch.process.send_signal(signal.SIGHUP)
    code, out, err = launch.wait()
    more = load_newest(launch.run).step
    assert (code, out, err) == (130, "", f"vaegan: run: stopped at step {more}; go on with --resume\n") and more > step


@pytest.mark.long
def test_a_killed_launcher_takes_its_processes_with_it(work: Path) -> None:
    launch = Launch(work, *VAEGAN, *TRAIN, *ENDLESS, "--processes", "2").wait_for_step()
    step = wait_for_checkpoint(launch)
    launch.process.kill()
    end = time.monotonic() + END_SECONDS
    while launch.find_processes():
        assert time.monotonic() < end
        time.sleep(0.1)
    assert load_newest(launch.run).step >= step


@pytest.mark.parametrize("started", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_signal_before_the_training_begins_is_not_lost(work: Path, started: bool) -> None:
    """While the launcher imports what it needs, and while its processes do."""
    launch = Launch(work, *VAEGAN, *TRAIN, *ENDLESS, "--processes", "2")
    end = time.monotonic() + END_SECONDS
    while not (launch.find_processes("RANK=1") if started else launch.handles_signals()):
        assert time.monotonic() < end
        time.sleep(0.02)
    launch.process.send_signal(signal.SIGINT)
    assert launch.wait() == (130, "", "vaegan: interrupted\n")
    assert not Run(launch.run).exists


@pytest.mark.long
def test_a_second_ctrl_c_stops_all_processes_at_once(work: Path) -> None:
    slow = ("model.width=1024", "model.depth=4", "train.batch_size=2000", "train.log_every=1")
    launch = Launch(work, *VAEGAN, *TRAIN, *ENDLESS, *slow, "--processes", "2")
    while not Run(launch.run).exists:
        assert launch.process.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    for _ in range(2):
        launch.process.send_signal(signal.SIGINT)
        time.sleep(1.5)
    assert launch.process.wait(timeout=60) == 130
    assert "vaegan: interrupted" in launch.wait()[2] and not Run(launch.run).checkpoints.exists()
