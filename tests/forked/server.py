"""Run the command line in forks of this process, which has imported everything already.

Each line of standard input is a JSON object of jobs by their names, which are run in the working folder, as many at a
time as there are cores; a line is printed when all are done. A job is a list of commands, run one after another with
the job's name as the output folder, each by a group of processes; see `client.Command`. The result of each process of
each command is written to NAME.json; see `client.ProcessResult`.
"""

import atexit
import json
import os
import runpy
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

import sklearn.datasets  # noqa: F401 - what a command imports where it needs it is imported here once, for all forks
import torch
import torch._dynamo  # by every optimizer
import torchmetrics.functional.image  # noqa: F401
from disturbances import disturb
from moments import Moments
from ports import find_free_port

import vaegan.data
import vaegan.evaluate.model_evaluation
import vaegan.trainers  # noqa: F401
from vaegan.cli.main import main
from vaegan.distributed import count_cpu_cores

torch.set_num_threads(1)

TIMEOUT_SECONDS = 120
"""Longest time of a process."""


def run_command(name: str, words: list[str], environment: dict[str, str], how: str) -> NoReturn:
    """Run the command line in this process and exit; its output goes to NAME.out and NAME.err."""
    signal.alarm(TIMEOUT_SECONDS)
    for stream, ending in (sys.stdin, ""), (sys.stdout, "out"), (sys.stderr, "err"):
        path = f"{name}.{ending}" if ending else os.devnull
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), stream.fileno())
    Path(f"{name}.moments").write_text("")
    os.environ.update(environment)
    script = words[0].endswith(".py")
    sys.argv = words if script else ["vaegan", *words]
    code = 0
    try:
        if how.startswith("moment "):
            Moments(Path(words[-1]).absolute(), Path(f"{name}.moments"), int(how.split()[1]))
        else:
            for disturbance in how.split(";") if how else ():
                disturb(*disturbance.split("@"))
        runpy.run_path(words[0], run_name="__main__") if script else main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)  # the interpreter's normal exit takes a second, with so much imported


def run_group(
    name: str, words: list[str], how: str, environment: dict[str, str], processes: int, disturbed: int | None
) -> list[dict[str, Any]]:
    """Run a command in a group of processes, and return the result of each, in order of rank."""
    meeting = {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "MASTER_ADDR": "localhost"}
    meeting |= {"MASTER_PORT": find_free_port(), "ACCELERATE_USE_CPU": "true"}
    start, ranks = time.monotonic(), {}
    for rank in range(processes):
        variables = {**meeting, "RANK": rank, "LOCAL_RANK": rank} if processes > 1 else {}
        variables = {**{key: str(value) for key, value in variables.items()}, **environment}
        child = os.fork()
        if child == 0:
            how = how if disturbed in (None, rank) else ""
            run_command(f"{name}.{rank}", [*words, "--output", name], variables, how)
        ranks[child] = rank
    results: list[dict[str, Any]] = [{}] * processes
    while ranks:
        child, status = os.wait()
        rank = ranks.pop(child)
        out, err, moments = (Path(f"{name}.{rank}.{what}").read_text() for what in ("out", "err", "moments"))
        code, seconds = os.waitstatus_to_exitcode(status), time.monotonic() - start
        results[rank] = {"code": code, "seconds": seconds, "out": out, "err": err, "moments": moments.splitlines()}
    return results


def run_jobs(jobs: dict[str, list[dict[str, Any]]]) -> None:
    """Run jobs, as many at a time as there are cores."""
    running = 0
    for name, commands in jobs.items():
        if running == count_cpu_cores():
            os.wait()
            running -= 1
        if os.fork() == 0:
            try:
                Path(f"{name}.json").write_text(json.dumps([run_group(name, **command) for command in commands]))
            finally:
                os._exit(0)
        running += 1
    while running:
        os.wait()
        running -= 1


if __name__ == "__main__":
    for line in sys.stdin:
        run_jobs(json.loads(line))
        print("done", flush=True)
