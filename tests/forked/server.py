"""Runs the command line in processes that have imported everything when they begin.

Each line of standard input is a JSON object of jobs by their names, which are done in the working folder, as many at a
time as there are cores; a line is printed when all are done. A job is a list of commands, done one after the other with
the output folder of its name, each by a company of processes; see `client.Command`. What has become of each process of
each command is left in NAME.json; see `client.Ended`.
"""

import atexit
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

import torch
from disturbances import disturb
from moments import Moments
from ports import free_port

import vaegan.data
import vaegan.evaluate.model
import vaegan.trainers  # noqa: F401 - as all of these
from vaegan.cli.main import main
from vaegan.distributed import count_cpu_cores

torch.set_num_threads(1)

PATIENCE = 120
"""Seconds that a process may take."""


def be(name: str, words: list[str], environment: dict[str, str], how: str) -> NoReturn:
    """Be a process of a command; NAME is where it leaves what it says."""
    signal.alarm(PATIENCE)
    for stream, ending in (sys.stdin, ""), (sys.stdout, "out"), (sys.stderr, "err"):
        path = f"{name}.{ending}" if ending else os.devnull
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), stream.fileno())
    Path(f"{name}.moments").write_text("")
    os.environ.update(environment)
    sys.argv = ["vaegan", *words]
    if how.startswith("moment "):
        Moments(Path(words[-1]).absolute(), Path(f"{name}.moments"), int(how.split()[1]))
    else:
        for disturbance in how.split(";") if how else ():
            disturb(*disturbance.split("@"))
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)  # the interpreter's own end takes a second where so much is imported


def do(
    name: str, words: list[str], how: str, environment: dict[str, str], processes: int, disturbed: int | None
) -> list[dict[str, Any]]:
    """Do a command; how each of its processes ended, in order of rank."""
    meeting = {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "MASTER_ADDR": "localhost"}
    meeting |= {"MASTER_PORT": free_port(), "ACCELERATE_USE_CPU": "true"}
    begun, ranks = time.monotonic(), {}
    for rank in range(processes):
        own = {**meeting, "RANK": rank, "LOCAL_RANK": rank} if processes > 1 else {}
        given = {**{key: str(value) for key, value in own.items()}, **environment}
        child = os.fork()
        if child == 0:
            be(f"{name}.{rank}", [*words, "--output", name], given, how if disturbed in (None, rank) else "")
        ranks[child] = rank
    ended: list[dict[str, Any]] = [{}] * processes
    while ranks:
        child, status = os.wait()
        rank = ranks.pop(child)
        out, err, moments = (Path(f"{name}.{rank}.{what}").read_text() for what in ("out", "err", "moments"))
        code, seconds = os.waitstatus_to_exitcode(status), time.monotonic() - begun
        ended[rank] = {"code": code, "seconds": seconds, "out": out, "err": err, "moments": moments.splitlines()}
    return ended


def do_all(jobs: dict[str, list[dict[str, Any]]]) -> None:
    """Do jobs, as many at a time as there are cores."""
    running = 0
    for name, commands in jobs.items():
        if running == count_cpu_cores():
            os.wait()
            running -= 1
        if os.fork() == 0:
            try:
                Path(f"{name}.json").write_text(json.dumps([do(name, **command) for command in commands]))
            finally:
                os._exit(0)
        running += 1
    while running:
        os.wait()
        running -= 1


if __name__ == "__main__":
    for line in sys.stdin:
        do_all(json.loads(line))
        print("done", flush=True)
