"""A run folder is one training's at a time."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaegan.distributed import run_on_main
from vaegan.errors import UserError

LOCK_FILE = ".lock"
"""File that a process holds a lock of for as long as it lives; it stays, since nobody can tell whether it is wanted."""


@contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Keep other trainings, of this machine or of one that shares the disk, out of a run folder, which is made.

    Where the system or the disk has no locks, nobody is kept out.

    Raises:
        UserError: Another training has it.
    """
    descriptor = run_on_main(lambda: _claim(folder))
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _claim(folder: Path) -> int | None:
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
            raise UserError(
                f"{folder}: another training works in it at this moment; end that one, or choose another --output"
            ) from None
    return descriptor
