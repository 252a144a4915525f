"""Checkpoints that survive a kill at any moment and run no code when they are read.

A checkpoint is a folder ``step_XXXXXXXX`` of safetensors files and a ``state.json``, with their SHA-256 beside them.
It is written beside, synced, then renamed, so that a folder of that name is whole or damaged by something else. A
damaged one is passed over with a word about it: a file is missing, or its contents are not what was written. What the
disk cannot read at this moment is not damaged.
"""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .errors import FileFailure
from .files import SMALL, contents, opened, remove
from .wording import one_line, reason, word

Tensors = Mapping[str, Tensor]

DAMAGED = ".damaged"
"""What the name of a checkpoint ends with that was set aside."""


@dataclass(frozen=True)
class Checkpoint:
    """What a later step reads."""

    step: int
    """Optimizer steps that were taken."""
    tensors: Mapping[str, Tensors]
    """Named tensors of each file: networks, averaged weights, optimizer states."""
    state: Mapping[str, Any]
    """Everything that is not a tensor, as JSON knows it."""


def save(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint into ``folder``, and ``prune`` it.

    Returns:
        The new checkpoint's folder.

    Raises:
        OSError: It could not be written; older checkpoints are untouched.
    """
    final = folder / _name(checkpoint.step)
    with replacing(final) as partial:
        for name, tensors in checkpoint.tensors.items():
            save_tensors(tensors, partial / f"{name}.safetensors")
        state = {"step": checkpoint.step, "files": list(checkpoint.tensors), "state": checkpoint.state}
        (partial / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
        hashes = {file.name: digest(file) for file in sorted(partial.iterdir())}
        (partial / "sha256.json").write_text(json.dumps(hashes, indent=1), encoding="utf-8")
    prune(folder, checkpoint.step, keep)
    return final


def prune(folder: Path, step: int, keep: int) -> None:
    """Delete all checkpoints in ``folder`` up to a step but the newest ``keep``, and what a kill has left of others."""
    old = [path for path in _found(folder) if path.name <= _name(step)][keep:]
    for path in [*old, *_found(folder, r"\.(partial|old)")]:
        remove(path)


def save_tensors(tensors: Tensors, file: Path) -> None:
    """Write named tensors as safetensors.

    Raises:
        OSError: They could not be written.
    """
    try:
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, file)
    except SafetensorError as error:
        raise OSError(f"{file}: {error}") from error


def newest(folder: Path) -> tuple[Checkpoint | None, dict[Path, str]]:
    """Read the newest whole checkpoint in ``folder``.

    Returns:
        It, or None where there is none; and what is wrong with each damaged one that is newer. Where none is whole,
        those that were set aside are among these.

    Raises:
        FileFailure: The disk cannot be read.
    """
    with _disk(folder):
        paths, aside = _found(folder), _found(folder, re.escape(DAMAGED))
    damaged: dict[Path, str] = {}
    for path in paths:
        try:
            return _load(path), damaged
        except ValueError as error:
            damaged[path] = str(error)
    return None, damaged | dict.fromkeys(aside, "set aside before")


def load_latest(folder: Path, notify: Callable[[str], None]) -> Checkpoint | None:
    """The newest whole checkpoint in ``folder``, or None where there is none; nothing is changed.

    Args:
        folder: The run's checkpoints.
        notify: Told in one line of each checkpoint that is passed over.

    Raises:
        FileFailure: The disk cannot be read.
    """
    checkpoint, damaged = newest(folder)
    for path, why in damaged.items():
        notify(f"{path}: damaged ({why})" + (f"; using {_name(checkpoint.step)}" if checkpoint else ""))
    return checkpoint


def set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint, so that it is neither counted nor deleted, in the place of an older one so named.

    Returns:
        Its new path.
    """
    aside = path.with_name(path.name + DAMAGED)
    remove(aside)
    path.rename(aside)
    return aside


class replacing:
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
            sync(path)
        old = self.final.with_name(self.final.name + ".old")
        remove(old)
        if os.path.lexists(self.final):
            self.final.rename(old)
            with suppress(OSError):
                remove(old)
        self.partial.rename(self.final)  # last of all, so that a kill leaves nothing beside what is whole
        sync(self.final.parent)


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
        sync(beside)
        beside.replace(path)
    except OSError as error:  # that of a full disk does not say for which file
        with suppress(OSError):
            remove(beside)
        raise OSError(error.errno, error.strerror, str(path)) from error


def sync(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(file: Path) -> str:
    """SHA-256 of a file's contents, hexadecimal."""
    checksum = sha256()
    with opened(file) as stream:
        while block := stream.read(1 << 20):
            checksum.update(block)
    return checksum.hexdigest()


def _found(folder: Path, ending: str = "") -> list[Path]:
    """The checkpoints in a folder, newest first, whose names have an ending (a regular expression)."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names, reverse=True) if re.fullmatch("step_[0-9]{8}" + ending, name)]


def _load(path: Path) -> Checkpoint:
    """A checkpoint; ValueError where it is damaged."""
    hashes, state = _json(path / "sha256.json"), _json(path / "state.json")
    if not isinstance(hashes, dict) or "state.json" not in hashes:
        raise ValueError("sha256.json is not what was written")
    with _disk(path):
        absent = hashes.keys() - set(os.listdir(path))
    if absent:
        raise ValueError(f"sha256.json: there is no {word(min(absent))} in the checkpoint")
    for name, expected in hashes.items():
        with _reading(path / name):
            if digest(path / name) != expected:
                raise ValueError("does not match its checksum")
    match state:
        case {"step": int(step), "files": [*names], "state": dict(rest)} if path.name == _name(step):
            files = {str(name): f"{name}.safetensors" for name in names}
            if {"state.json", *files.values()} == hashes.keys():
                return Checkpoint(step, {name: _tensors(path / file) for name, file in files.items()}, rest)
    raise ValueError("state.json is not what was written")


def _name(step: int) -> str:
    return f"step_{step:08d}"


def _json(file: Path) -> Any:
    with _reading(file):
        if file.stat().st_size > SMALL:
            raise ValueError(f"more than {SMALL:,} bytes")
        return json.loads(contents(file))


def _tensors(file: Path) -> Tensors:
    with _reading(file):
        return load_file(file)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Say of which file of a checkpoint it is that the block cannot read it.

    Raises:
        ValueError: It is missing, or the block finds it damaged.
        FileFailure: The disk cannot be read.
    """
    with _disk(file):
        try:
            if not _is_file(file):
                raise ValueError("there is no such file")
            yield
        except (ValueError, RecursionError, SafetensorError) as error:
            raise ValueError(f"{file.name}: {one_line(error)}") from None


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Say in one line of what it is that the disk cannot read it.

    Raises:
        FileFailure: It cannot.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # PyTorch says the latter
        raise FileFailure(f"{path}: {reason(error)}; nothing was changed; try again when it can be read") from error


def _is_file(path: Path) -> bool:
    try:
        return S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
