"""Files that somebody else may have put there: read without waiting for ever, removed without following links."""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

MAX_TEXT_FILE_BYTES = 2**24
"""Bytes of a file of text: a description, figures, checksums."""
NONBLOCKING_FLAG = getattr(os, "O_NONBLOCK", 0)
"""Without it, to open a pipe that nobody writes into takes for ever; Windows has none."""


@contextmanager
def open_regular_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file to read from.

    Raises:
        OSError: It cannot be read, or is a pipe or a device, which may have no end.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | NONBLOCKING_FLAG)) as file:
        if not os.path.isfile(file.fileno()):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        yield file


def read_bytes(path: Path, most: int = MAX_TEXT_FILE_BYTES) -> bytes:
    """All that is in a file.

    Raises:
        OSError: As `open_regular_file`, or it holds more than ``most`` bytes.
    """
    with open_regular_file(path) as file:
        if os.fstat(file.fileno()).st_size > most or len(found := file.read(most + 1)) > most:
            raise OSError(errno.EFBIG, f"File too large: more than {most:,} bytes", str(path))
        return found


def read_json_lines(path: Path) -> list[tuple[dict[str, Any], bytes]]:
    """The lines of a log, each an object of JSON with its ``step``, and their bytes; torn ones are passed over.

    Raises:
        OSError: As `open_regular_file`.
    """
    lines = []
    with open_regular_file(path) as file:
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


def save_tensors(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write named tensors as safetensors.

    Raises:
        OSError: They could not be written.
    """
    try:
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, file)
    except SafetensorError as error:
        raise OSError(f"{file}: {error}") from error


class replace_folder:
    """A new folder that takes the place of ``final`` once the block has filled it and it lies safely on disk.

    Used as ``with replacing(final) as partial``; where the block raises, ``final`` is untouched.
    """

    def __init__(self, final: Path) -> None:
        self.final = final
        self.partial = final.with_name(final.name + ".partial")

    def __enter__(self) -> Path:
        """The empty folder to fill."""
        remove(self.partial)
        self.partial.mkdir(parents=True)
        return self.partial

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Sync and rename, or clear away."""
        if kind is not None:
            shutil.rmtree(self.partial, ignore_errors=True)
            return
        for path in [*self.partial.iterdir(), self.partial]:
            fsync(path)
        old = self.final.with_name(self.final.name + ".old")
        remove(old)
        if os.path.lexists(self.final):
            self.final.rename(old)
            with suppress(OSError):
                remove(old)
        self.partial.rename(self.final)  # last of all, so that a kill leaves nothing beside what is whole
        fsync(self.final.parent)


def write_text(path: Path, text: str) -> None:
    """Put a text file in place: whoever looks finds the old one or the new one, never half of one.

    A link that stands in the way is replaced, not followed.
    """
    if path.is_dir() and not path.is_symlink():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    beside = path.with_name(path.name + ".partial")
    remove(beside)
    try:
        with beside.open("x", encoding="utf-8") as file:
            file.write(text)
        fsync(beside)
        beside.replace(path)
    except OSError as error:  # that of a full disk does not say for which file
        with suppress(OSError):
            remove(beside)
        raise OSError(error.errno, error.strerror, str(path)) from error


def fsync(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_file(file: Path) -> str:
    """SHA-256 of a file's contents, hexadecimal."""
    checksum = sha256()
    with open_regular_file(file) as stream:
        while block := stream.read(1 << 20):
            checksum.update(block)
    return checksum.hexdigest()
