"""Train the config in argv[1] into folders of argv[2], each stopped and resumed in another way, by real signals.

Every training is a process of its own that runs the command line; they are forked from this one, which has imported
everything and run nothing. Prints what became of each, as JSON.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import torch

import vaegan.data
import vaegan.evaluate.runner
import vaegan.trainers  # noqa: F401 - so that the forked processes start at once
from vaegan.__main__ import main
from vaegan.runs import Run

torch.set_num_threads(1)


def start(config: str, folder: Path, *words: str) -> int:
    """A process that trains; its id."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        with (folder.parent / f"{folder.name}.txt").open("a") as terminal:
            os.dup2(terminal.fileno(), 1)
            os.dup2(terminal.fileno(), 2)
        sys.argv = ["vaegan", "train", config, "--output", str(folder), *words]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Exit code, or the negative number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def reached(run: Run) -> int:
    """The last step of the history that is on disk."""
    lines = run.history_file.read_bytes().splitlines() if run.history_file.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


def stop(config: str, folder: Path, number: int, *moments: int) -> list[int]:
    """Exit codes of trainings that are sent a signal after each of these steps, and of the last one, which is not."""
    run, codes = Run(folder), []
    for moment in moments:
        child = start(config, folder, *(["--resume"] if run.exists else []))
        while reached(run) < moment and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            time.sleep(0.0005)
        os.kill(child, number)
        codes.append(ended(child))
    return [*codes, ended(start(config, folder, "--resume"))]


def stop_while_saving(config: str, folder: Path, times: int) -> list[int]:
    """The same with SIGKILL, each time as soon as a checkpoint is seen half written."""
    run, codes = Run(folder), []
    for _ in range(times):
        child = start(config, folder, *(["--resume"] if run.exists else []))
        seen = set(run.checkpoints.glob("*.partial"))
        while not (set(run.checkpoints.glob("*.partial")) - seen):
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
        os.kill(child, signal.SIGKILL)
        codes.append(ended(child))
    return [*codes, ended(start(config, folder, "--resume"))]


if __name__ == "__main__":
    config, root = sys.argv[1], Path(sys.argv[2])
    print(
        json.dumps(
            {
                "whole": [ended(start(config, root / "whole"))],
                "SIGINT": stop(config, root / "SIGINT", signal.SIGINT, 14),
                "SIGTERM": stop(config, root / "SIGTERM", signal.SIGTERM, 5, 26),
                "SIGKILL": stop(config, root / "SIGKILL", signal.SIGKILL, 1, 13, 24),
                "saving": stop_while_saving(config, root / "saving", 3),
            }
        )
    )
