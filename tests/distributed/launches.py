"""Real launches of the command line, as a user types them."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from ..forked.client import drop_progress
from ..tiny import load_newest
from .pool import ENVIRONMENT

VAEGAN = (sys.executable, "-m", "vaegan")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
MARK = "TEST_LAUNCH"
"""Environment variable by which all processes of a launch are found."""
TIMEOUT_SECONDS = 240.0
"""Longest time for a launch to begin or to end."""


class Launch:
    """A command that runs in a folder, with ``run`` in it as the run folder."""

    def __init__(self, folder: Path, *words: str, **environment: str) -> None:
        self.run = folder / "run"
        self.mark = uuid4().hex
        defaults = {key: value for key, value in ENVIRONMENT.items() if key != "ACCELERATE_USE_CPU"}
        self.process = subprocess.Popen(
            words, cwd=folder, env={**os.environ, **defaults, **environment, MARK: self.mark},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def wait_for_step(self, after: int = 0) -> "Launch":
        """Wait until a step later than ``after`` is logged, and return this launch."""
        history, end = self.run / "history.jsonl", time.monotonic() + TIMEOUT_SECONDS
        while True:
            lines = history.read_text().splitlines() if history.is_file() else []
            if lines and json.loads(lines[-1])["step"] > after:
                return self
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise AssertionError(self.process.communicate())
            time.sleep(0.05)

    def stop(self) -> int:
        """Send SIGTERM, as a scheduler does, and return the step of the checkpoint that is left."""
        self.process.terminate()
        code, out, err = self.wait()
        step = load_newest(self.run).step
        assert (code, out, err) == (130, "", f"vaegan: run: stopped at step {step}; go on with --resume\n")
        return step

    def find_rank(self, rank: int) -> int:
        """Return the id of the process of a rank."""
        (process,) = self.find_processes(f"RANK={rank}")
        return process

    def kill(self) -> None:
        """Kill the launcher and its processes, which are in sessions of their own, as if the machine failed."""
        for process in self.find_processes():
            os.kill(process, signal.SIGKILL)

    def handles_signals(self) -> bool:
        """Return whether the launcher handles signals itself, as it does once it has read the command line."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(caught >> (signal.SIGHUP - 1) & 1)

    def find_processes(self, *variables: str) -> list[int]:
        """Return the ids of the processes of this launch with these ``NAME=value`` in their environment."""
        variables = {f"{MARK}={self.mark}", *variables}
        processes = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # the process has ended
                if variables <= set((folder / "environ").read_bytes().decode(errors="replace").split("\0")):
                    processes.append(int(folder.name))
        return processes

    def wait(self) -> tuple[int, str, str]:
        """Wait for the end, and return exit code, standard output, and standard error without lines of progress."""
        try:
            out, err = self.process.communicate(timeout=TIMEOUT_SECONDS)
        finally:
            if self.process.returncode is None:
                self.kill()
        return self.process.returncode, out, drop_progress(err)

    def read_process_counts(self) -> set[int]:
        """Return the numbers of processes that the run was trained with, as its timing.jsonl has them."""
        lines = (self.run / "timing.jsonl").read_text().splitlines()
        return {json.loads(line)["processes"] for line in lines}
