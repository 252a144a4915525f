"""Work of the main process that may take longer than the other processes can wait in one collective call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TypeVar

from .distributed import any_rank, get_group_rank_and_size, run_on_main

T = TypeVar("T")

BEAT_SECONDS = 60.0
"""Seconds between two messages by which the main process tells the others that it is still at work."""


def run_long_on_main(work: Callable[[], T]) -> T | None:
    """Run work on the main process while the others wait, however long it takes, with the errors of `run_on_main`.

    The work makes no collective call of its own.

    Returns:
        The result of the work on the main process; None on the others.
    """
    rank, size = get_group_rank_and_size()
    if size == 1:
        return work()
    if rank > 0:
        while _exchange(False):
            pass
        return run_on_main(work)

    def work_and_beat() -> T:
        with _beat():
            return work()

    return run_on_main(work_and_beat)


@contextmanager
def _beat() -> Iterator[None]:
    """Tell the others again and again, from a thread, that this process works, until the block ends."""
    done, device = Event(), _get_device_index()

    def beat() -> None:
        if device is not None:  # a thread begins on the first GPU
            import torch

            torch.cuda.set_device(device)
        with suppress(RuntimeError):  # another process is gone, as the next collective call will find
            while _exchange(not done.wait(BEAT_SECONDS)):
                pass

    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _exchange(working: bool) -> bool:
    """Return whether the main process works on; all call this together, and the others give False."""
    import torch

    device = _get_device_index()
    return any_rank(working, torch.device("cpu") if device is None else torch.device("cuda", device))


def _get_device_index() -> int | None:
    """Return the GPU through which the processes exchange tensors; None: they do so through the CPU."""
    import torch

    return torch.cuda.current_device() if torch.distributed.get_backend() == "nccl" else None
