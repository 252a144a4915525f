"""Disturbances of a training at a chosen time: signals, slow steps, lost files."""

import ctypes
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from threading import Timer
from typing import Any

import safetensors.torch
import torch
from moments import watch_evaluations

import vaegan.data.sources
from vaegan.trainers import loop
from vaegan.trainers.log.tracking import Tracker

SLOW_STEP_SECONDS = 60.0
"""Seconds of a slow step."""
SLEEP_SECONDS = 4.0
"""Seconds of a sleep."""
REPEAT_SECONDS = 1.2
"""Seconds until a signal is sent again, after which it no longer counts as an echo."""


def disturb(what: str, when: str) -> None:
    """Schedule a disturbance that occurs once in this process.

    Args:
        what: Name of a signal that the process gets; `slow` and a signal (in a step that then takes
            `SLOW_STEP_SECONDS`), `twice` and a signal (likewise, and a second time), `stuck` and a signal (in a call
            that nothing can interrupt); `sleep`; `service` (W&B's service is killed) or `folder` (W&B's folder is
            deleted); `lose` and a file, which is deleted, or `spoil` and a file, which is truncated.
        when: Number of steps before it; `reading`: before the images are read; `evaluation`: after the first round of
            an evaluation; `step_XXXXXXXX`: when that checkpoint's first file is written; `finish`: before W&B's run is
            finished.
    """
    open_data, compute_gradients, save_file, finish = (
        vaegan.data.sources.open_data,
        loop.compute_gradients,
        safetensors.torch.save_file,
        Tracker.finish,
    )
    pending = [what]

    def disturb_at(moment: str) -> None:
        if moment == when and pending:
            _execute(pending.pop())

    def open_disturbed_data(*args: Any, **options: Any) -> Any:
        disturb_at("reading")
        return open_data(*args, **options)

    def compute_disturbed_gradients(step: Any, state: Any, *rest: Any) -> Any:
        disturb_at(str(state.step))
        return compute_gradients(step, state, *rest)

    def save_disturbed_file(tensors: Any, file: Path, *metadata: Any) -> None:
        save_file(tensors, file, *metadata)
        disturb_at(file.parent.name.removesuffix(".partial"))

    def finish_disturbed_tracker(tracker: Tracker, *code: int) -> None:
        disturb_at("finish")
        finish(tracker, *code)

    vaegan.data.sources.open_data, safetensors.torch.save_file = open_disturbed_data, save_disturbed_file
    loop.compute_gradients, Tracker.finish = compute_disturbed_gradients, finish_disturbed_tracker  # type: ignore[method-assign]
    watch_evaluations(lambda done, total: disturb_at("evaluation"))


def _execute(what: str) -> None:
    if what == "folder":
        shutil.rmtree(Path(sys.argv[-1]) / "wandb")
    elif what == "service":
        children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
        pids = [int(pid) for file in children for pid in file.read_text().split()]
        (service,) = (pid for pid in pids if b"wandb-core" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(service, signal.SIGKILL)
        time.sleep(0.3)
    elif what.startswith(("lose ", "spoil ")):
        file = Path(what.partition(" ")[2])
        file.write_bytes(file.read_bytes()[:100]) if what.startswith("spoil") else file.unlink()
    elif what == "sleep":
        time.sleep(SLEEP_SECONDS)
    else:
        *ways, name = what.split()
        os.kill(os.getpid(), number := signal.Signals[name])
        if "stuck" in ways:
            mutex, lock = ctypes.create_string_buffer(64), ctypes.CDLL(None).pthread_mutex_lock
            lock(mutex), lock(mutex)
        if "twice" in ways:
            Timer(REPEAT_SECONDS, os.kill, [os.getpid(), number]).start()
        weights, end = torch.ones(1000, 1000), time.monotonic() + (SLOW_STEP_SECONDS if ways else 0)
        while time.monotonic() < end:
            weights @ weights
