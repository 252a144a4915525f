"""The lock of a run folder, which belongs to one training at a time."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaegan.distributed import run_on_main
from vaegan.errors import UserError

LOCK_FILE = ".lock"
"""File that a training holds a lock on for as long as its process lives.

It is never deleted, since nobody can tell whether another process is about to lock it.
"""

BUSY = "another training works in it at this moment; end that one, or choose another --output"
"""Why a folder is refused."""
_thread_locks: dict[tuple[int, Path], threading.Lock] = {}
"""Locks by process and folder: the lock of the file does not keep out other threads of the process that holds it."""


@contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Make a run folder and keep other trainings out of it, on this machine and on others that share the disk.

    Where the system or the disk has no locks, nobody is kept out.

    Raises:
        UserError: Another training works in the folder.
    """
    thread_lock = _thread_locks.setdefault((os.getpid(), folder.resolve()), threading.Lock())
    if not thread_lock.acquire(blocking=False):
        raise UserError(f"{folder}: {BUSY}")
    descriptor = None
    try:
        descriptor = run_on_main(lambda: _lock(folder))
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
        thread_lock.release()


def _lock(folder: Path) -> int | None:
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held by this process alone, not by its forks
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            os.close(descriptor)
            raise UserError(f"{folder}: {BUSY}") from None
    return descriptor
