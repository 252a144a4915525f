"""Runs the command line in processes that have imported everything when they begin.

Each line of standard input is a JSON object of jobs by their names, which are done in the working folder, as many at a
time as there are cores; a line is printed when all are done. A job is a list of trainings, done one after the other in
the run folder of its name: what follows `vaegan train`, variables of the environment, and how they are disturbed. What
has become of them is left in NAME.json: exit code (negative: the signal that killed it), seconds, standard output,
standard error, moments.
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

import vaegan.data
import vaegan.evaluate.runner
import vaegan.trainers  # noqa: F401 - as all of these
from vaegan.__main__ import main
from vaegan.processes import cores

torch.set_num_threads(1)

PATIENCE = 120
"""Seconds that a training may take."""


def train(name: str, words: list[str], environment: dict[str, str], how: str) -> NoReturn:
    """Be a training."""
    signal.alarm(PATIENCE)
    for stream, ending in (sys.stdin, ""), (sys.stdout, "out"), (sys.stderr, "err"):
        path = f"{name}.{ending}" if ending else os.devnull
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), stream.fileno())
    Path(f"{name}.moments").write_text("")
    os.environ.update(environment)
    sys.argv = ["vaegan", "train", *words, "--output", name]
    if how.startswith("moment "):
        Moments(Path(name).absolute(), Path(f"{name}.moments"), int(how.split()[1]))
    elif how:
        disturb(*how.split("@"))
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


def do(name: str, trainings: list[dict[str, Any]]) -> None:
    """Do a job."""
    ended = []
    for training in trainings:
        begun, child = time.monotonic(), os.fork()
        if child == 0:
            train(name, **training)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        seconds = time.monotonic() - begun
        out, err, moments = (Path(f"{name}.{what}").read_text() for what in ("out", "err", "moments"))
        ended.append({"code": code, "seconds": seconds, "out": out, "err": err, "moments": moments.splitlines()})
    Path(f"{name}.json").write_text(json.dumps(ended))


def do_all(jobs: dict[str, list[dict[str, Any]]]) -> None:
    """Do jobs, as many at a time as there are cores."""
    running = 0
    for name, trainings in jobs.items():
        if running == cores():
            os.wait()
            running -= 1
        if os.fork() == 0:
            try:
                do(name, trainings)
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
