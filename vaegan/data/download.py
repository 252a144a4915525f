"""Download of missing image sets, by one process at a time."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

from vaegan.errors import Failure, UserError

DOWNLOAD_LOCK = ".download.lock"
"""File in the root that is locked during a download; it is left there, empty."""


def require_files(
    source: str, root: Path, paths: list[Path], fetch: Callable[[], None] | None, packed_suffix: str = ""
) -> None:
    """Check that a set's files exist, and download them if they do not.

    Args:
        source: Name of the set.
        root: Folder that holds or receives it.
        paths: Its files and folders.
        fetch: Function that downloads them; None: nothing is downloaded.
        packed_suffix: Suffix of a compressed file that is accepted instead.

    Raises:
        UserError: A file is missing.
        Failure: The download failed.
    """

    def list_missing() -> list[Path]:
        return [path for path in paths if not any(Path(f"{path}{suffix}").exists() for suffix in ("", packed_suffix))]

    def describe_mend() -> str:
        return f"put {', '.join(path.name for path in list_missing() or paths)} into {paths[0].parent}"

    if fetch:
        try:
            if list_missing() or os.access(root / DOWNLOAD_LOCK, os.R_OK):  # another process may be half done
                with _lock_folder(root):
                    if list_missing():
                        with redirect_stdout(sys.stderr):
                            fetch()
        except Exception as error:  # downloaders raise nearly anything
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise Failure(f"data.download: {source} could not be fetched ({reason}); {describe_mend()}") from error
    if missing := list_missing():
        found = "not found" if len(missing) == len(paths) else f"{', '.join(path.name for path in missing)} is missing"
        raise UserError(f"data.root: {source}: {found}; set data.download=true, or {describe_mend()}")


@contextmanager
def _lock_folder(root: Path) -> Iterator[None]:
    """Lock a folder against downloads by other processes, which wait for each other.

    Windows and some network file systems have no such lock: there, every process that finds a set missing downloads it.
    """
    if sys.platform == "win32":
        yield
        return
    from fcntl import LOCK_EX, LOCK_SH, flock

    root.mkdir(parents=True, exist_ok=True)
    lock = root / DOWNLOAD_LOCK
    writable = not lock.exists() or os.access(lock, os.W_OK)  # a read-only lock can only be waited for
    with lock.open("a" if writable else "r") as file:
        with suppress(OSError):
            flock(file, LOCK_EX if writable else LOCK_SH)  # until the file is closed
        yield
