"""Work of some processes that may take longer than the other processes can wait in one collective call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TypeVar

from .distributed import any_rank, get_group_rank_and_size, run_on_all_ranks

T = TypeVar("T")

BEAT_SECONDS = 60.0
"""Seconds between two messages by which a process tells the others that it is still at work."""


def run_long_on_main(work: Callable[[], T]) -> T | None:
    """Run work on the main process while the others wait, however long it takes, with the errors of `run_on_main`.

    The work makes no collective call of its own.

    Returns:
        The result of the work on the main process; None on the others.
    """
    return run_long(work, get_group_rank_and_size()[0] == 0)


def run_long(work: Callable[[], T], works: bool) -> T | None:
    """Run work on some processes while the others wait, however long it takes, with the errors of `run_on_all_ranks`.

    The work makes no collective call of its own.

    Args:
        work: The work.
        works: Whether this process does it.

    Returns:
        The result of the work; None where it is not done.
    """
    if get_group_rank_and_size()[1] == 1:
        return work() if works else None
    if not works:
        while any_rank(False):
            pass
        return run_on_all_ranks(lambda: None)

    def work_and_beat() -> T:
        with _beat():
            return work()

    return run_on_all_ranks(work_and_beat)


@contextmanager
def _beat() -> Iterator[None]:
    """Tell the others again and again, from a thread, that this process works, until all such blocks have ended."""
    done = Event()

    def beat() -> None:
        with suppress(RuntimeError):  # another process is gone, as the next collective call will find
            while any_rank(not done.wait(BEAT_SECONDS)):
                pass

    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
