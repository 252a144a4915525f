"""The lock of a run folder, which belongs to one training at a time."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaegan.distributed import run_on_main
from vaegan.errors import UserError

LOCK_FILE = ".lock"
"""File that a training holds a lock on for as long as its process lives.

It is never deleted, since nobody can tell whether another process is about to lock it.
"""


@contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Make a run folder and keep other trainings out of it, of this machine or of one that shares the disk.

    Where the system or the disk has no locks, nobody is kept out.

    Raises:
        UserError: Another training works in the folder.
    """
    descriptor = run_on_main(lambda: _lock(folder))
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _lock(folder: Path) -> int | None:
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this process alone: what it forks does not hold it
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            os.close(descriptor)
            problem = "another training works in it at this moment; end that one, or choose another --output"
            raise UserError(f"{folder}: {problem}") from None
    return descriptor
