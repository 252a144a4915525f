"""Files that somebody else may have put there: read without waiting for ever, removed without following links."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

SMALL = 2**24
"""Bytes of a file of text: a description, figures, checksums."""
NO_WAITING = getattr(os, "O_NONBLOCK", 0)
"""Without it, to open a pipe that nobody writes into takes for ever; Windows has none."""


@contextmanager
def opened(path: str | Path) -> Iterator[BinaryIO]:
    """A file to read from.

    Raises:
        OSError: It cannot be read, or is a pipe or a device, which may have no end.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | NO_WAITING)) as file:
        if not os.path.isfile(file.fileno()):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        yield file


def contents(path: Path, most: int = SMALL) -> bytes:
    """All that is in a file.

    Raises:
        OSError: As `opened`, or it holds more than ``most`` bytes.
    """
    with opened(path) as file:
        if os.fstat(file.fileno()).st_size > most or len(found := file.read(most + 1)) > most:
            raise OSError(errno.EFBIG, f"File too large: more than {most:,} bytes", str(path))
        return found


def json_lines(path: Path) -> list[tuple[dict[str, Any], bytes]]:
    """The lines of a log, each an object of JSON with its ``step``, and their bytes; torn ones are passed over.

    Raises:
        OSError: As `opened`.
    """
    lines = []
    with opened(path) as file:
        for text in file.read().splitlines():
            try:
                line = json.loads(text.decode())
            except (ValueError, RecursionError):
                continue
            if isinstance(line, dict) and isinstance(line.get("step"), int):
                lines.append((line, text))
    return lines


def remove(path: Path) -> None:
    """Delete a file, a folder, or a link but not what it leads to; nothing is done where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
