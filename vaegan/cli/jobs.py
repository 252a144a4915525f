"""Trainings of a study side by side, each a `vaegan train` of its own."""

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
from vaegan.storage.runs import Run

from .console import Console
from .launch import LAUNCHER_VARIABLE, POLL_SECONDS, handle_stop_signals

STOPPED_EXIT_CODE = 130
"""Exit code of a training that was stopped and can be gone on with."""


class Jobs:
    """Trains runs side by side, some at a time, and passes signals on to them; a run that lies there is gone on with.

    Each gets its share of the cores, and of the GPUs where there are any.

    Args:
        study: The study's folder, for messages.
        jobs: Trainings at a time.
        processes: Of each training.
        console: Where what they have to say is noted, each line with the run's name.

    Raises:
        UserError: This process is one of several of a launch.
    """

    def __init__(self, study: Path, jobs: int, processes: int, console: Console) -> None:
        if get_world_size() > 1:
            raise UserError("--jobs: starts processes itself; leave out the launcher, or --jobs")
        self.study, self.jobs, self.processes, self.console = study, jobs, processes, console
        self.running: dict[int, subprocess.Popen[str]] = {}
        self.places = list(range(jobs))
        self.stopped = False
        self.failed: str | None = None
        self.lock = Lock()

    def train(self, runs: Mapping[Path, Config]) -> None:
        """Train runs to their ends; once one has failed no other is begun.

        Args:
            runs: Their folders and configs, in the order in which they are begun.

        Raises:
            Failure: One has failed; the others, begun before, were let end.
            Interrupted: All were asked to stop, and have written checkpoints.
        """
        before = handle_stop_signals(self._pass_on)
        try:
            with tempfile.TemporaryDirectory() as configs, ThreadPoolExecutor(self.jobs) as threads:
                begun = []
                for number, (folder, config) in enumerate(runs.items()):
                    if Run(folder).finished:
                        continue
                    file = Path(configs) / f"{number}.yaml"
                    file.write_text(dump_config(config), encoding="utf-8")
                    begun.append(threads.submit(self._train, folder, file))
                while wait(begun, timeout=POLL_SECONDS).not_done:  # a signal is heard between two waits
                    pass
                for each in begun:
                    each.result()
        finally:
            for number, handler in before.items():
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
            place = self.places.pop(0)
        try:
            code, last = self._ended(place, name, folder, config)
        except Exception as error:
            code, last = 1, describe_error(error)
        with self.lock:
            self.places.append(place)
            if code == STOPPED_EXIT_CODE:
                self.stopped = True
            elif code:
                self.failed = self.failed or f"{name}: {last.removeprefix('vaegan: ') or f'ended with code {code}'}"

    def _ended(self, place: int, name: str, folder: Path, config: Path) -> tuple[int, str]:
        """Exit code of a training, and what it said last."""
        process = self.running[place] = subprocess.Popen(  # noqa: S603 # our own command line
            [sys.executable, "-m", "vaegan", "train", str(config), "--output", str(folder), "--resume",
             "--processes", str(self.processes)],
            env={**os.environ, **self._share(place)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        try:
            if self.stopped:  # since the signal found no such process
                process.send_signal(signal.SIGTERM)
            last = ""
            for line in process.stdout or ():
                last = line.rstrip()
                self.console.note(f"{name}: {last}")
            return process.wait(), last
        finally:
            del self.running[place]

    def _share(self, place: int) -> dict[str, str]:
        """Environment variables that give a training its part of the machine."""
        from torch.cuda import device_count

        threads = str(max(1, count_cpu_cores() // (self.jobs * self.processes)))
        share = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads), LAUNCHER_VARIABLE: str(os.getpid())}
        if gpus := device_count():
            visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
            names = visible.split(",")
            own = [names[(place * self.processes + rank) % gpus] for rank in range(self.processes)]
            share["CUDA_VISIBLE_DEVICES"] = ",".join(dict.fromkeys(own))
        return share

    def _pass_on(self, number: signal.Signals) -> None:
        self.stopped = True
        for process in list(self.running.values()):
            process.send_signal(number)
