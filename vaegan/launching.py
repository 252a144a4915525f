"""Starting the processes of one machine, through torch's elastic launcher."""

import logging
import os
import signal
import sys
import tempfile
from typing import NoReturn

from vaegan.console import Console
from vaegan.processes import cores

FOREVER = 10**6
"""Seconds; processes that were asked to stop end by themselves, those that got SIGTERM in `train.grace_seconds`."""


def launch(processes: int, console: Console) -> NoReturn:
    """Run this command line in several processes on this machine, and end as they end.

    Cores are shared between processes that compute on the CPU. Signals are passed on to all of them.

    Args:
        processes: How many.
        console: Where an end that no process could speak of is noted.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(FOREVER))
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
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
            if first.exitcode >= 0:
                sys.exit(first.exitcode)
            console.note(f"vaegan: process {rank} was ended by {signal.Signals(-first.exitcode).name}")
            sys.exit(1)
        except SignalException:
            sys.exit(130)
    sys.exit(0)
