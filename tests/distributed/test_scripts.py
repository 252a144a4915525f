"""A user's own script in several processes trains what one process trains, and speaks with one voice."""

import json
import shutil
import signal
import sys
from pathlib import Path

import pytest

from vaegan.storage.run_folder import Run

from ..forked.ports import find_free_port
from ..tiny import find_largest_difference, flatten, load_newest
from .launches import TORCHRUN, Launch

TRAIN_AND_EVALUATE = """
import os, vaegan
run = vaegan.train("tiny.yaml", output="run")
result = vaegan.evaluate_run(run, metrics=["psnr"])
if os.environ["RANK"] == "0":
    print(result.metrics["reconstruction/psnr"])
"""
OWN_ACCELERATOR = """
from accelerate import Accelerator
accelerator = Accelerator(cpu=True)
assert accelerator.num_processes == 2
"""


def launch_script(work: Path, script: str, **environment: str) -> Launch:
    """Start a script in two processes with torchrun."""
    (work / "script.py").write_text(script)
    return Launch(work, *TORCHRUN, "--standalone", "--nproc_per_node=2", "script.py", **environment)


def check_equal(launch: Launch, alone: Run, ended: tuple[int, str, str]) -> None:
    """Check that a launch ended without a word but its result, and trained the weights of one process."""
    code, out, err = ended
    assert (code, err) == (0, "") and len(out.splitlines()) == 1
    assert float(out) == json.loads((launch.run / "metrics.json").read_text())["metrics"]["reconstruction/psnr"]
    assert launch.read_process_counts() == {2}
    difference, where = find_largest_difference(flatten(load_newest(alone.path)), flatten(load_newest(launch.run)))
    assert difference < 1e-8, where


@pytest.mark.parametrize("before", [pytest.param("", marks=pytest.mark.long), OWN_ACCELERATOR])
def test_torchrun(work: Path, alone: Run, before: str) -> None:
    launch = launch_script(work, before + TRAIN_AND_EVALUATE)
    check_equal(launch, alone, launch.wait())


@pytest.mark.long
@pytest.mark.skipif(shutil.which("mpirun") is None, reason="Open MPI is not installed")
def test_accelerate_launch(work: Path, alone: Run) -> None:
    (work / "script.py").write_text(TRAIN_AND_EVALUATE.replace("RANK", "OMPI_COMM_WORLD_RANK"))
    (work / "hosts").write_text("localhost slots=2\n")
    accelerate = Path(sys.executable).with_name("accelerate")
    machine = ("--num_machines=1", "--main_process_ip=127.0.0.1", f"--main_process_port={find_free_port()}")
    launch = Launch(
        work, str(accelerate), "launch", "--cpu", "--num_processes=2", "--mpirun_hostfile=hosts", *machine,
        "--mixed_precision=no", "--dynamo_backend=no", "script.py",
        OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
        PATH=f"{accelerate.parent}:{Path(shutil.which('mpirun')).parent}:/usr/bin:/bin",
    )  # fmt: skip
    check_equal(launch, alone, launch.wait())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(
            "{'train.step': 3}, output='run'", "UserError: tiny.yaml: train.step: unknown key", marks=pytest.mark.long
        ),
        ("{'train.learning_rate': 1e30}, output='run'", "Failure: step 3: the gradient of the "),
    ],
)
def test_an_error_is_said_once(work: Path, call: str, message: str) -> None:
    code, out, err = launch_script(work, f"import vaegan\nvaegan.train('tiny.yaml', {call})\n").wait()
    assert (code, out) == (1, "")
    err = err.replace("[rank0]: ", "")
    assert err.count("vaegan.errors.") == 1 and f"\nvaegan.errors.{message}" in err, err
    assert err.count('script.py", line 2') == 1 and "trainers" not in err.split("vaegan.errors.")[0], err


@pytest.mark.long
def test_a_signal_leaves_a_checkpoint(work: Path) -> None:
    endless = "vaegan.train('tiny.yaml', {'train.steps': 100000, 'train.learning_rate': 1e-3}, output='run')"
    launch = launch_script(work, f"import vaegan\n{endless}\n").wait_for_step()
    launch.process.send_signal(signal.SIGTERM)
    code, out, err = launch.wait()
    step = load_newest(launch.run).step
    assert code != 0 and out == "" and step > 0
    assert err.count(f"vaegan.errors.Interrupted: run: stopped at step {step}; go on with resume=True\n") == 1
