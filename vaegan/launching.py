"""Starting the processes of one machine, through torch's elastic launcher."""

import logging
import os
import signal
import sys
import tempfile
from contextlib import suppress
from threading import Thread
from types import FrameType
from typing import NoReturn

import psutil

from vaegan.console import Console
from vaegan.processes import cores


def launch(processes: int, console: Console) -> NoReturn:
    """Run this command line in several processes on this machine, and end as they end.

    Cores are shared between processes that compute on the CPU. Ctrl-C and SIGTERM are passed on to all of them, each
    time, and what they then do is theirs; once one has failed, the others are ended in half a minute.

    Args:
        processes: How many.
        console: Where an end that no process could speak of is noted.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    codes: list[int] = []
    # On a thread of its own, since torch's launcher, where it sees signals itself, kills what has not ended in 30 s.
    work = Thread(target=lambda: codes.append(_run(processes, console)))

    def pass_on(number: int, frame: FrameType | None) -> None:
        for process in psutil.Process().children():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    work.start()
    work.join()
    sys.exit(codes[0] if codes else 1)


def _run(processes: int, console: Console) -> int:
    """Exit code of the process that was the first to fail; 0: none did."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable()  # whatever happens, the processes say it themselves
    with tempfile.TemporaryDirectory() as logs:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id="vaegan",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "vaegan", *sys.argv[1:])
        except ChildFailedError as error:
            rank, first = error.get_first_failure()
            if first.exitcode < 0:
                console.note(f"vaegan: process {rank} was ended by {signal.Signals(-first.exitcode).name}")
            return first.exitcode if first.exitcode > 0 else 1
    return 0
