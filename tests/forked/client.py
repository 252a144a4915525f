"""Many command lines as real processes, which a server forks, so that each starts at once."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ONE_CORE = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TORCH_CPP_LOG_LEVEL": "ERROR"}
"""Environment variables with which the same training gives the same bits."""


def make_environment(home: Path) -> dict[str, str]:
    """Return this process's environment without W&B's variables, and with W&B's own files in the folder ``home``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return kept | {f"WANDB_{name}_DIR": str(home) for name in ("CACHE", "CONFIG", "DATA")}


OWN_TRAINING = str(Path(__file__).with_name("own_training.py"))
"""Script that trains a config with the networks of `own_networks.py`."""


@dataclass(frozen=True)
class Command:
    """A command line, run by one process or by a group of them."""

    words: Sequence[str]
    """Arguments after `vaegan`, without `--output`; or the path of a Python script and its arguments."""
    how: str = ""
    """`moment N`: killed at the Nth moment of `moments.py` (0: at none); `what@when`: a disturbance of
    `disturbances.py`, or several, separated by semicolons; empty: undisturbed."""
    environment: dict[str, str] = field(default_factory=dict)
    """Environment variables, added to those of this process except W&B's."""
    processes: int = 1
    """Number of processes, as if a launcher had started them."""
    disturbed: int | None = None
    """Rank of the only process that is killed or disturbed; None: all of them."""


@dataclass(frozen=True)
class ProcessResult:
    """The exit code and the output of a process."""

    code: int
    """Exit code; negative: the signal that killed it."""
    seconds: float
    """Time from the start of the command to the end of the process."""
    out: str
    """Standard output."""
    err: str
    """Standard error, without lines of progress."""
    moments: list[str]
    """Names of the moments that it passed."""


def drop_progress(err: str) -> str:
    """Return standard error without the lines of progress, of which a slow machine shows some."""
    return re.sub(r"^.+: [\d,]+/[\d,]+(, .+)?\n", "", err, flags=re.MULTILINE)


class ForkServer:
    """A server that runs commands in a folder, inside a ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            cwd=folder, env={**make_environment(folder / "home"), "NETRC": str(folder / "home/netrc"), **ONE_CORE},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> "ForkServer":
        return self

    def __exit__(self, *error: object) -> None:
        self.server.communicate(timeout=300)

    def run(self, jobs: dict[str, list[Command]]) -> None:
        """Run the commands of each job one after another, with the job's name as their output folder."""
        assert self.server.stdin is not None and self.server.stdout is not None
        line = json.dumps({name: [asdict(command) for command in commands] for name, commands in jobs.items()})
        self.server.stdin.write(line + "\n")
        self.server.stdin.flush()
        assert self.server.stdout.readline() == "done\n"

    def get_group_results(self, name: str) -> list[list[ProcessResult]]:
        """Return the results of all processes of each command of a job, in order of rank."""
        groups = json.loads((self.folder / f"{name}.json").read_text())
        return [[_read_result(result) for result in group] for group in groups]

    def run_once(self, words: Sequence[str], output: str, processes: int) -> tuple[int, str, str]:
        """Run one command in a group of processes; return its exit code, and what all of them print and report.

        Args:
            words: Arguments after `vaegan`, without `--output`.
            output: Path of its output, if relative from the folder of the server; the results are written beside it.
            processes: Number of processes.
        """
        self.run({output: [Command(words, processes=processes)]})
        (group,) = self.get_group_results(output)
        (code,) = {process.code for process in group}
        return code, "".join(process.out for process in group), "".join(process.err for process in group)

    def get_results(self, name: str) -> list[ProcessResult]:
        """Return the result of rank 0 of each command of a job."""
        return [main for main, *_ in self.get_group_results(name)]


def _read_result(result: dict[str, Any]) -> ProcessResult:
    return ProcessResult(**{**result, "err": drop_progress(result["err"])})
