"""Many commands as real processes that begin at once."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ONE_CORE = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TORCH_CPP_LOG_LEVEL": "ERROR"}
"""Where the same training is the same to the last bit."""


def environment(home: Path) -> dict[str, str]:
    """This process's variables for one to which W&B is new, and that keeps its files in a folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return kept | {f"WANDB_{name}_DIR": str(home) for name in ("CACHE", "CONFIG", "DATA")}


@dataclass(frozen=True)
class Command:
    """A command line, done by one process or by a company of them."""

    words: Sequence[str]
    """What follows `vaegan`, but for `--output`."""
    how: str = ""
    """`moment N`: killed at the Nth of `moments.py` (0: at none); `what@when` of `disturbances.py`, or several with
    semicolons between; or left alone."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables that it has beside this process's, without those of W&B."""
    processes: int = 1
    """How many do it, as if a launcher had started them."""
    disturbed: int | None = None
    """Rank of the only one that this happens to; None: to all of them."""


@dataclass(frozen=True)
class Ended:
    """What became of a process."""

    code: int
    """Exit code; negative: the signal that killed it."""
    seconds: float
    """When it ended, after the command had begun."""
    out: str
    """Standard output."""
    err: str
    """Standard error."""
    moments: list[str]
    """Those that came."""


class Forked:
    """Does commands in a folder, inside a ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            cwd=folder, env={**environment(folder / "home"), "NETRC": str(folder / "home/netrc"), **ONE_CORE},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> "Forked":
        return self

    def __exit__(self, *error: object) -> None:
        self.server.communicate(timeout=300)

    def do(self, jobs: dict[str, list[Command]]) -> None:
        """Do jobs: with the output folder of its name the commands of each, one after the other."""
        assert self.server.stdin is not None and self.server.stdout is not None
        line = json.dumps({name: [asdict(command) for command in commands] for name, commands in jobs.items()})
        self.server.stdin.write(line + "\n")
        self.server.stdin.flush()
        assert self.server.stdout.readline() == "done\n"

    def companies(self, name: str) -> list[list[Ended]]:
        """What became of the processes of each command of a job."""
        return [
            [Ended(**each) for each in company] for company in json.loads((self.folder / f"{name}.json").read_text())
        ]

    def ended(self, name: str) -> list[Ended]:
        """What became of the first process of each command."""
        return [first for first, *_ in self.companies(name)]
