"""Atomic writes of files and folders, the cleanup after them, and bounded reads of files that may be tampered with."""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from safetensors import SafetensorError

from .text import encode_text, has_undecodable_bytes

if TYPE_CHECKING:
    from torch import Tensor

MAX_NAME_BYTES = 255
"""Most bytes of the name of a file or a folder, on all common file systems."""
MAX_TEXT_FILE_BYTES = 2**24
"""Largest size of a text file: a description, metrics, checksums."""
CACHE_VARIABLE = "VAEGAN_CACHE"
"""Environment variable with the folder of the cache, in place of ~/.cache/vaegan."""
NONBLOCKING_FLAG = getattr(os, "O_NONBLOCK", 0)
"""Flag without which opening a pipe that nobody writes into blocks for ever; Windows has none."""


@contextmanager
def open_regular_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes.

    Raises:
        OSError: The file cannot be read, or it is a pipe or a device, which may have no end.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | NONBLOCKING_FLAG)) as file:
        if not os.path.isfile(file.fileno()):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        yield file


def read_bytes(path: Path, max_bytes: int = MAX_TEXT_FILE_BYTES) -> bytes:
    """Return the contents of a file.

    Raises:
        OSError: The file cannot be read, is not a regular file, or holds more than ``max_bytes``.
    """
    with open_regular_file(path) as file:
        if os.fstat(file.fileno()).st_size > max_bytes or len(contents := file.read(max_bytes + 1)) > max_bytes:
            raise OSError(errno.EFBIG, f"File too large: more than {max_bytes:,} bytes", str(path))
        return contents


def read_json_lines(path: Path) -> list[tuple[dict[str, Any], bytes]]:
    """Return the lines of a log that are JSON objects with an integer ``step``, each with its bytes; skip the others.

    Raises:
        OSError: The file cannot be read, or is not a regular file.
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


def get_cache_folder() -> Path | None:
    """Return the folder of the cache, `CACHE_VARIABLE` or else ~/.cache/vaegan; None: there is no home folder."""
    try:
        return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "vaegan")
    except RuntimeError:
        return None


def remove(path: Path) -> None:
    """Delete a file, a folder, or a link but not its target; do nothing if the path does not exist."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def save_tensors(tensors: "Mapping[str, Tensor]", file: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors as safetensors, readable for whom the umask allows; the package lets the owner alone read.

    Args:
        tensors: Tensors by name.
        file: The file.
        metadata: Texts by name, which `load_metadata` reads; None: there are none.

    Raises:
        OSError: The file cannot be written.
    """
    from safetensors.torch import save_file  # which imports torch

    texts = None if metadata is None else dict(metadata)
    file.touch()
    mode = file.stat().st_mode
    try:
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, file, texts)
    except SafetensorError as error:
        raise OSError(f"{file}: {error}") from error
    file.chmod(mode)


def load_tensors(file: Path) -> "dict[str, Tensor]":
    """Return the named tensors of a safetensors file, which is mapped into memory as far as they are used.

    Raises:
        SafetensorError: The file is damaged.
        OSError: The file cannot be read.
    """
    from safetensors.torch import load, load_file  # which import torch

    return load(file.read_bytes()) if has_undecodable_bytes(str(file)) else load_file(file)  # it opens UTF-8 paths only


def load_metadata(file: Path) -> dict[str, str]:
    """Return the texts of an intact safetensors file that `save_tensors` has stored beside its tensors.

    Raises:
        OSError: The file cannot be read.
        ValueError: The header of the file is damaged.
    """
    with open_regular_file(file) as stream:
        size = int.from_bytes(stream.read(8), "little")  # of the header, in bytes
        metadata = json.loads(stream.read(min(size, MAX_TEXT_FILE_BYTES))).get("__metadata__")
    return dict(metadata or {})


@contextmanager
def replace_folder(final: Path) -> Iterator[Path]:
    """Yield a new empty folder that replaces ``final`` once the block has filled it and it is synced to disk.

    If the block raises, ``final`` is untouched. A folder cannot be replaced in one step: a kill between the two renames
    leaves no ``final``, only a complete ``final.partial``. The next call removes such remnants, and so does
    `vaegan.storage.checkpoints.prune_checkpoints`.
    """
    partial = final.with_name(final.name + ".partial")
    remove(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for path in [*partial.iterdir(), partial]:
        fsync(path)
    old = final.with_name(final.name + ".old")
    remove(old)
    if os.path.lexists(final):
        final.rename(old)
        with suppress(OSError):
            remove(old)
    partial.rename(final)  # last of all, so that a complete folder has no remnants next to it
    fsync(final.parent)


@contextmanager
def replace_file(final: Path, suffix: str = ".partial", sync: bool = True) -> Iterator[Path]:
    """Yield the path of a new file that replaces ``final`` once the block has written it and it is synced to disk.

    A reader sees the old file or the new one, never half of one. A link at either path is replaced, not followed. If
    the block raises, ``final`` is untouched; an error of the system that names no file, as on a full disk, names it.

    Args:
        final: The file.
        suffix: End of the new file's name until it is complete.
        sync: Whether the file is synced to disk first, which takes milliseconds; without it a crash of the machine may
            leave a file that is cut short.
    """
    partial = _name_partial(final, suffix)
    remove(partial)
    try:
        yield partial
        if sync:
            fsync(partial)
        partial.replace(final)
    except BaseException as error:
        with suppress(OSError):
            remove(partial)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(final)
        raise


def _name_partial(final: Path, suffix: str) -> Path:
    """Return the path of a file until it is complete; of a name that leaves no room for the suffix, its digest."""
    name = os.fsencode(final.name)
    fits = len(name) + len(suffix) <= MAX_NAME_BYTES
    return final.with_name((final.name if fits else sha256(name).hexdigest()) + suffix)


def write_text(path: Path, text: str) -> None:
    """Write a text file; a reader sees the old text or the new one, never half of one.

    Bytes of file names that are not UTF-8 are written as escapes.

    Raises:
        OSError: The file cannot be written; the error names ``path``.
    """
    try:
        with replace_file(path) as partial, partial.open("xb") as file:
            file.write(encode_text(text))
    except OSError as error:  # on a full disk it names no file
        raise OSError(error.errno, error.strerror, str(path)) from error


def fsync(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_file(file: Path) -> str:
    """Compute the SHA-256 of a file's contents, hexadecimal.

    Raises:
        OSError: The file cannot be read, or is not a regular file.
    """
    checksum = sha256()
    with open_regular_file(file) as stream:
        while block := stream.read(1 << 20):
            checksum.update(block)
    return checksum.hexdigest()


def hash_tensors(tensors: "Mapping[str, Tensor]") -> str:
    """Compute the SHA-256 of tensors in order, hexadecimal: names, types, shapes, values, and which take a gradient."""
    import torch

    checksum = sha256()
    for name, tensor in tensors.items():
        checksum.update(repr((name, str(tensor.dtype), tuple(tensor.shape), tensor.requires_grad)).encode())
        values = tensor.detach().cpu().contiguous().reshape(-1)
        checksum.update(values.view(torch.uint8).numpy().data)
    return checksum.hexdigest()
