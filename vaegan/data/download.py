"""Sets that are fetched where they are missing, by one process at a time."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

from vaegan.errors import Failure, UserError

DOWNLOAD_LOCK = ".download.lock"
"""File in the root that is locked while a set is fetched; it is left there, empty."""


def require_files(
    source: str, root: Path, paths: list[Path], fetch: Callable[[], None] | None, packed: str = ""
) -> None:
    """Make sure that a set's files are there.

    Args:
        source: Name of the set.
        root: Folder that holds or receives it.
        paths: Its files and folders.
        fetch: Brings them; None: nothing is fetched.
        packed: Ending under which a file will do as well.

    Raises:
        UserError: A file is missing.
        Failure: The set could not be fetched.
    """

    def missing() -> bool:
        return not all(any(Path(f"{path}{ending}").exists() for ending in ("", packed)) for path in paths)

    if fetch:
        try:
            if missing() or os.access(root / DOWNLOAD_LOCK, os.R_OK):  # another process may be half done
                with _alone(root):
                    if missing():
                        with redirect_stdout(sys.stderr):
                            fetch()
        except Exception as error:  # downloaders raise nearly anything
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise Failure(f"data.download: {source} could not be fetched ({reason}); {_where(paths)}") from error
    if missing():
        raise UserError(f"data.root: {source}: not found; set data.download=true, or {_where(paths)}")


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Wait until no other process fetches into a folder, and keep the others waiting.

    Windows and some network file systems have no such lock: there, all processes that find a set missing fetch it.
    """
    if sys.platform == "win32":
        yield
        return
    from fcntl import LOCK_EX, LOCK_SH, flock

    root.mkdir(parents=True, exist_ok=True)
    lock = root / DOWNLOAD_LOCK
    writable = not lock.exists() or os.access(lock, os.W_OK)  # where it is read-only, waiting is all there is to do
    with lock.open("a" if writable else "r") as file:
        with suppress(OSError):
            flock(file, LOCK_EX if writable else LOCK_SH)  # until the file is closed
        yield


def _where(paths: list[Path]) -> str:
    return f"put {', '.join(path.name for path in paths)} into {paths[0].parent}"
