"""Starting the processes of one machine, through torch's elastic launcher."""

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
from typing import Any, NoReturn

import psutil

from vaegan.distributed import SIGNAL_ECHO_SECONDS, count_cpu_cores, describe_error

from .console import Console

LAUNCHER_VARIABLE = "VAEGAN_LAUNCHER"
"""Environment variable in which the processes that are started find the id of the one that started them."""
STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""What asks to stop; a terminal that is closed asks as SIGTERM does."""
POLL_SECONDS = 0.2
"""Seconds between two looks at what has been asked and at who is alive."""
KILL_AFTER_SECONDS = 5.0
"""Seconds that processes have after a second Ctrl-C."""


def launch(processes: int, console: Console) -> NoReturn:
    """Run this command line in several processes on this machine, and end as they end.

    Cores are shared between processes that compute on the CPU. Ctrl-C and SIGTERM are passed on to all of them, each
    time, and what they then do is theirs; a terminal that is closed asks as SIGTERM does. Once one has failed, the
    others are ended in half a minute.

    Args:
        processes: How many.
        console: Where an end that no process could speak of is noted.
    """
    follow_the_launcher()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, count_cpu_cores() // processes)))
    os.environ[LAUNCHER_VARIABLE] = str(os.getpid())
    asked: list[tuple[int, float]] = []

    handle_stop_signals(lambda number: asked.append((number, time.monotonic())))
    codes: list[int] = []
    # On a thread of its own, since torch's launcher, where it sees signals itself, kills what has not ended in 30 s.
    work = Thread(target=lambda: codes.append(_run(processes, console, asked)))
    work.start()
    _pass_on(asked, work)
    sys.exit(codes[0] if codes else 1)


def handle_stop_signals(ask: Callable[[signal.Signals], None]) -> dict[signal.Signals, Any]:
    """Hear of what asks this process to stop, except where it is ignored, as nohup has it.

    Args:
        ask: Is told SIGINT for Ctrl-C, and SIGTERM for SIGTERM or a terminal that is closed.

    Returns:
        How each signal was handled before.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        ask(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    numbers = [signal.Signals[name] for name in STOP_SIGNALS if name in signal.Signals.__members__]
    return {each: signal.signal(each, handle) for each in numbers if signal.getsignal(each) != signal.SIG_IGN}


def follow_the_launcher() -> None:
    """Let this process stop as SIGTERM asks it to when the one that started it is gone, if one of ours has."""
    if (launcher := os.environ.get(LAUNCHER_VARIABLE)) is None:
        return

    def watch() -> None:
        while os.getppid() == int(launcher):
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=watch, daemon=True).start()


def _pass_on(asked: list[tuple[int, float]], work: Thread) -> None:
    """Send the processes what is asked, as soon as there are any, until the work is done."""
    passed = 0
    while work.is_alive():
        work.join(POLL_SECONDS)
        started = psutil.Process().children()
        while started and passed < len(asked):
            _send(started, asked[passed][0])
            passed += 1
        if _twice(asked) and time.monotonic() - asked[-1][1] > KILL_AFTER_SECONDS:
            _send(started, signal.SIGKILL)


def _twice(asked: list[tuple[int, float]]) -> bool:
    """Whether Ctrl-C was pressed again, and not passed on to us twice."""
    times = [when for number, when in asked if number == signal.SIGINT]
    return len(times) > 1 and times[-1] - asked[0][1] > SIGNAL_ECHO_SECONDS


def _send(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _run(processes: int, console: Console, asked: list[tuple[int, float]]) -> int:
    """Exit code of the process that was the first to fail; 0: none did.

    Args:
        processes: How many to start.
        console: As for `launch`.
        asked: Signals that come meanwhile, and when; the processes may end by them.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if hasattr(signal, "pthread_sigmask"):  # for the processes, until they are ready to answer
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
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
            codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
            if {130, *(-number for number, _ in asked)} & set(codes.values()) or _twice(asked):
                if codes.get(0, 130) < 0:  # it had no time to say so
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
