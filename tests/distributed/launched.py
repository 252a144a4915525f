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

from ..tiny import load_newest
from .pool import ENVIRONMENT

VAEGAN = (sys.executable, "-m", "vaegan")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
MARK = "TEST_LAUNCH"
"""Environment variable by which all processes of a launch are found."""
PATIENCE = 120.0
"""Seconds for a launch to begin or to end."""


class Launch:
    """A command that runs in a folder, whose run is recorded in ``run`` there."""

    def __init__(self, folder: Path, *words: str, **environment: str) -> None:
        self.run = folder / "run"
        self.mark = uuid4().hex
        alone = {key: value for key, value in ENVIRONMENT.items() if key != "ACCELERATE_USE_CPU"}
        self.process = subprocess.Popen(
            words, cwd=folder, env={**os.environ, **alone, **environment, MARK: self.mark},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def begun(self, after: int = 0) -> "Launch":
        """Wait until a later step is logged than the one it goes on from."""
        history, end = self.run / "history.jsonl", time.monotonic() + PATIENCE
        while True:
            lines = history.read_text().splitlines() if history.is_file() else []
            if lines and json.loads(lines[-1])["step"] > after:
                return self
            if self.process.poll() is not None or time.monotonic() > end:
                self.lose()
                raise AssertionError(self.process.communicate())
            time.sleep(0.05)

    def stopped(self) -> int:
        """Ask it to stop, as a scheduler does; the step that it has reached."""
        self.process.terminate()
        code, out, err = self.ended()
        step = load_newest(self.run).step
        assert (code, out, err) == (130, "", f"vaegan: run: stopped at step {step}; go on with --resume\n")
        return step

    def worker(self, rank: int) -> int:
        """Id of the process of a rank."""
        (found,) = self.alive(f"RANK={rank}")
        return found

    def lose(self) -> None:
        """Take the whole machine away: the launcher, and the processes that it has started in sessions of their own."""
        for process in self.alive():
            os.kill(process, signal.SIGKILL)

    def listens(self) -> bool:
        """Whether the launcher handles Ctrl-C itself, as it does once it has read the command line."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(caught >> (signal.SIGHUP - 1) & 1)

    def alive(self, *words: str) -> list[int]:
        """Ids of its processes that have these words in their environment."""
        wanted = {f"{MARK}={self.mark}", *words}
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended
                if wanted <= set((folder / "environ").read_bytes().decode(errors="replace").split("\0")):
                    found.append(int(folder.name))
        return found

    def ended(self) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        finally:
            if self.process.returncode is None:
                self.lose()
        return self.process.returncode, out, err

    def processes(self) -> set[int]:
        """How many took part, as the run says of each stretch of it."""
        lines = (self.run / "timing.jsonl").read_text().splitlines()
        return {json.loads(line)["processes"] for line in lines}
