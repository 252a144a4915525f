"""Trainings of a study side by side, each in a `vaegan train` process of its own."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Lock

from vaegan.config import Config, dump_config
from vaegan.distributed import count_cpu_cores, describe_error, get_world_size
from vaegan.errors import Failure, Interrupted, UserError
from vaegan.storage.run_folder import Run

from .console import Console
from .launch import LAUNCHER_VARIABLE, POLL_SECONDS, handle_stop_signals

STOPPED_EXIT_CODE = 130
"""Exit code of a training that was stopped and can be resumed."""


class Jobs:
    """A pool of training processes, which share the machine's cores and GPUs; signals are passed on to them.

    Args:
        study: The study's folder, for messages.
        jobs: Number of trainings at a time.
        processes: Number of processes of each training.
        console: Shows the output of the trainings, each line with the run's name.
        allow_other_data: Whether each training gets the option of this name.

    Raises:
        UserError: This process is one of several of a launch.
    """

    def __init__(
        self, study: Path, jobs: int, processes: int, console: Console, allow_other_data: bool = False
    ) -> None:
        if get_world_size() > 1:
            raise UserError("--jobs: starts processes itself; leave out the launcher, or --jobs")
        self.options = ["--allow-other-data"] if allow_other_data else []
        self.study, self.jobs, self.processes, self.console = study, jobs, processes, console
        self.running: dict[int, subprocess.Popen[str]] = {}
        self.free_slots = list(range(jobs))
        self.stopped = False
        self.failed: str | None = None
        self.lock = Lock()

    def train(self, runs: Mapping[Path, Config]) -> None:
        """Train or resume runs to their ends; once one has failed, start no other.

        Args:
            runs: Config of each run by its folder, in the order in which they are started.

        Raises:
            Failure: A run has failed; those started before it were trained to their ends.
            Interrupted: A signal stopped the trainings, and they have written checkpoints.
        """
        previous_handlers = handle_stop_signals(self._forward_signal)
        try:
            with tempfile.TemporaryDirectory() as configs, ThreadPoolExecutor(self.jobs) as threads:
                trainings = []
                for number, (folder, config) in enumerate(runs.items()):
                    if Run(folder).finished:
                        continue
                    file = Path(configs) / f"{number}.yaml"
                    file.write_text(dump_config(config), encoding="utf-8")
                    trainings.append(threads.submit(self._train, folder, file))
                while wait(trainings, timeout=POLL_SECONDS).not_done:  # signals are handled between two waits
                    pass
                for training in trainings:
                    training.result()
        finally:
            for number, handler in previous_handlers.items():
                signal.signal(number, handler)
        if self.stopped:
            raise Interrupted(f"{self.study}: stopped; the same command goes on")
        if self.failed is not None:
            raise Failure(self.failed)

    def _train(self, folder: Path, config: Path) -> None:
        name = f"{folder.parent.name}/{folder.name}"
        with self.lock:
            if self.stopped or self.failed is not None:
                return
            slot = self.free_slots.pop(0)
        try:
            code, last_line = self._run(slot, name, folder, config)
        except Exception as error:
            code, last_line = 1, describe_error(error)
        with self.lock:
            self.free_slots.append(slot)
            if code == STOPPED_EXIT_CODE:
                self.stopped = True
            elif code:
                reason = last_line.removeprefix("vaegan: ") or f"ended with code {code}"
                self.failed = self.failed or f"{name}: {reason}"

    def _run(self, slot: int, name: str, folder: Path, config: Path) -> tuple[int, str]:
        """Run a training to its end, and return its exit code and its last line of output."""
        process = self.running[slot] = subprocess.Popen(  # noqa: S603 # our own command line
            [sys.executable, "-m", "vaegan", "train", str(config), "--output", str(folder), "--resume",
             "--processes", str(self.processes), *self.options],
            env={**os.environ, **self._get_variables(slot)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        try:
            if self.stopped:  # a signal came before there was a process to pass it on to
                process.send_signal(signal.SIGTERM)
            last_line = ""
            for line in process.stdout or ():
                last_line = line.rstrip()
                self.console.note(f"{name}: {last_line}")
            return process.wait(), last_line
        finally:
            del self.running[slot]

    def _get_variables(self, slot: int) -> dict[str, str]:
        """Return the environment variables that give the training of a slot its cores and GPUs."""
        from torch.cuda import device_count

        threads = str(max(1, count_cpu_cores() // (self.jobs * self.processes)))
        variables = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads), LAUNCHER_VARIABLE: str(os.getpid())}
        if gpus := device_count():
            visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
            names = visible.split(",")
            devices = [names[(slot * self.processes + rank) % gpus] for rank in range(self.processes)]
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(dict.fromkeys(devices))
        return variables

    def _forward_signal(self, number: signal.Signals) -> None:
        self.stopped = True
        for process in list(self.running.values()):
            process.send_signal(number)
