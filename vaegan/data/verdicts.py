"""Verdicts about image files that were decoded, kept in the cache folder so that an unchanged file is decoded once."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from vaegan.io import get_cache_folder, read_bytes, replace_file

MAX_VERDICTS_FILE_BYTES = 2**34
"""Largest size of a file of verdicts that is read."""


class FileState(NamedTuple):
    """State of a file, which changes when it is written, or replaced by one of the same size and time."""

    size: int = 0
    """Bytes; -1 if there is no such file."""
    time: int = 0
    """Time of the last change, in nanoseconds, which copies may keep and programs may set."""
    changed: int = 0
    """Time of the last change of the file or of its time, in nanoseconds, which the system alone sets."""
    inode: int = 0
    """Number of the file in its file system."""


def get_file_state(file: str | Path) -> FileState:
    """Return what changes when a file is written or replaced."""
    try:
        status = os.stat(file)
    except OSError:
        return FileState(-1)
    return FileState(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@dataclass(frozen=True)
class Verdict:
    """Verdict about one image."""

    digest: str = ""
    """Digest of its bytes, hexadecimal."""
    content: bytes = b""
    """Digest of its pixels."""
    reason: str | None = None
    """Reason why it cannot be used; None: it can."""


class Verdicts:
    """The verdicts about the files of one folder, read with one kind of decoding.

    Args:
        key: Text that names the folder and all that the verdicts depend on beside the files' contents; None: they are
            not kept.

    Attributes:
        file: File of the verdicts; None: they are not kept.
        headers_file: File of those headers that are intact, for sets too large to be decoded.
    """

    def __init__(self, key: str | None) -> None:
        self.file: Path | None = None
        if key is not None and (cache := get_cache_folder()) is not None:
            name = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
            self.file = cache / "images" / f"{name}.json"
        self.headers_file = self.file.with_suffix(".headers") if self.file is not None else None
        self.known = _load(self.file) if self.file is not None else {}
        self.added: dict[str, tuple[FileState, Verdict]] = {}

    def find(self, name: str, state: FileState) -> Verdict | None:
        """Return the verdict about a file, unless the file was changed since, or None is known."""
        before = self.known.get(name)
        return before[1] if before is not None and before[0] == state else None

    def add(self, name: str, state: FileState, verdict: Verdict) -> None:
        """Add the verdict about a file."""
        if self.file is not None:
            self.added[name] = (state, verdict)

    def save(self) -> None:
        """Write the verdicts, if there are new ones and they can be written."""
        if self.file is None or not self.added:
            return
        rows = {
            name: [*state, verdict.digest, verdict.content.hex(), verdict.reason]
            for name, (state, verdict) in (self.known | self.added).items()
        }
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with replace_file(self.file, f".{os.getpid()}") as partial:  # other processes may write the same file
                partial.write_text(json.dumps(rows), encoding="utf-8")


def _load(file: Path) -> dict[str, tuple[FileState, Verdict]]:
    """Return the verdicts in a file by name; none if it is missing or damaged."""
    try:
        rows = json.loads(read_bytes(file, MAX_VERDICTS_FILE_BYTES))
        return {
            str(name): (FileState(*map(int, state)), Verdict(str(digest), bytes.fromhex(content), reason))
            for name, (*state, digest, content, reason) in rows.items()
            if reason is None or isinstance(reason, str)
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
