"""Start and join the processes of one machine, through torch's elastic launcher."""

import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from vaegan.distributed import SIGNAL_ECHO_SECONDS, count_cpu_cores, describe_error, get_world_size, init_process_group
from vaegan.extras import check_packages

from .console import Console

if TYPE_CHECKING:
    import psutil

    from vaegan.config import Config

LAUNCHER_VARIABLE = "VAEGAN_LAUNCHER"
"""Environment variable that tells a started process the id of the process that started it."""
STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Names of the signals that stop the work; SIGHUP, which a closed terminal sends, acts as SIGTERM."""
POLL_SECONDS = 0.2
"""Seconds between two checks of received signals and of processes that are alive."""
KILL_AFTER_SECONDS = 5.0
"""Seconds from a second Ctrl-C to SIGKILL."""


def join_processes(processes: int, configs: "list[Config]", console: Console) -> None:
    """Join the processes of this launch; if they are not started yet, start them, wait for their end and exit.

    Args:
        processes: Number of processes of the command.
        configs: The configs that will be trained.
        console: Shows the end of a process that could not print a message.

    Raises:
        UserError: The processes cannot share the batch of a config, or a package that several processes need is
            missing.
    """
    if processes > 1:
        check_packages(("accelerate", "psutil"))
    for config in configs:
        from vaegan.trainers.batch_partition import get_batch_slice  # only trainings have its packages

        get_batch_slice(config, 0, processes)
    if processes > get_world_size():
        launch(processes, console)
    stop_with_launcher()
    init_process_group()


def launch(processes: int, console: Console) -> NoReturn:
    """Run this command line in several processes on this machine, and exit as they exit.

    Processes that compute on the CPU share its cores. Each Ctrl-C and SIGTERM is passed on to all processes, which act
    on it themselves; a closed terminal counts as SIGTERM. Once one process has failed, the others are ended within half
    a minute.

    Args:
        processes: Number of processes.
        console: Shows the end of a process that could not print a message.
    """
    stop_with_launcher()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, count_cpu_cores() // processes)))
    os.environ[LAUNCHER_VARIABLE] = str(os.getpid())
    received: list[tuple[int, float]] = []

    handle_stop_signals(lambda number: received.append((number, time.monotonic())))
    codes: list[int] = []
    # In a thread, where torch's launcher sees no signals: having seen one, it kills processes that do not end in 30 s.
    work = Thread(target=lambda: codes.append(_run(processes, console, received)))
    work.start()
    _forward_signals(received, work)
    sys.exit(codes[0] if codes else 1)


def handle_stop_signals(on_stop: Callable[[signal.Signals], None]) -> dict[signal.Signals, Any]:
    """Handle the signals that stop this process, except those that are ignored, as under nohup.

    Args:
        on_stop: Called with SIGINT for Ctrl-C, and with SIGTERM for SIGTERM or a closed terminal.

    Returns:
        The previous handler of each signal.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        on_stop(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    numbers = [signal.Signals[name] for name in STOP_SIGNALS if name in signal.Signals.__members__]
    return {number: signal.signal(number, handle) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}


def stop_with_launcher() -> None:
    """Send this process SIGTERM once the vaegan process that started it, if one did, is gone."""
    if (launcher := os.environ.get(LAUNCHER_VARIABLE)) is None:
        return

    def watch() -> None:
        while os.getppid() == int(launcher):
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=watch, daemon=True).start()


def _forward_signals(received: list[tuple[int, float]], work: Thread) -> None:
    """Send received signals on to the processes, once these are started, until the work is done."""
    import psutil

    sent = 0
    while work.is_alive():
        work.join(POLL_SECONDS)
        children = psutil.Process().children()
        while children and sent < len(received):
            _send(children, received[sent][0])
            sent += 1
        if _is_interrupted_twice(received) and time.monotonic() - received[-1][1] > KILL_AFTER_SECONDS:
            _send(children, signal.SIGKILL)


def _is_interrupted_twice(received: list[tuple[int, float]]) -> bool:
    """Return whether Ctrl-C was pressed twice, as opposed to one signal that reached this process twice."""
    times = [seconds for number, seconds in received if number == signal.SIGINT]
    return len(times) > 1 and times[-1] - received[0][1] > SIGNAL_ECHO_SECONDS


def _send(processes: "list[psutil.Process]", number: int) -> None:
    import psutil

    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _run(processes: int, console: Console, received: list[tuple[int, float]]) -> int:
    """Run the processes to their end, and return the exit code of the first that failed, or 0.

    Args:
        processes: Number of processes.
        console: Shows the end of a process that could not print a message.
        received: Signals that come meanwhile, and their times in seconds; processes may end by them.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if hasattr(signal, "pthread_sigmask"):  # the processes unblock them as soon as they can answer
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    logging.disable()  # the processes report every error themselves
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
            codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
            if {130, *(-number for number, _ in received)} & set(codes.values()) or _is_interrupted_twice(received):
                if codes.get(0, 130) < 0:  # rank 0 had no time to print it
                    console.note("vaegan: interrupted")
                return 130
            rank, first = error.get_first_failure()
            if first.exitcode < 0:
                console.note(f"vaegan: process {rank} was ended by {signal.Signals(-first.exitcode).name}")
            return first.exitcode if first.exitcode > 0 else 1
        except Exception as error:
            console.note(f"vaegan: {processes} processes could not be started: {describe_error(error)}")
            return 1
    return 0
