"""Checkpoints that survive a kill at any moment and run no code when they are read.

A checkpoint is a folder ``step_XXXXXXXX`` of safetensors files and a ``state.json``, with their SHA-256 beside them.
It is written beside, synced, then renamed, so that a folder of that name is whole or damaged by something else;
a damaged one is passed over with a word about it.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .files import contents, opened, remove
from .wording import one_line, word

Tensors = Mapping[str, Tensor]


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
    """Delete all checkpoints in ``folder`` but the newest ``keep`` up to a step, and what a kill has left of others.

    Those of later steps are deleted too: the training was not resumed from them, so they are damaged.
    """
    later = [path for path in _newest_first(folder) if path.name > _name(step)]
    unfinished = folder.glob("step_*.*")
    for path in [*later, *_newest_first(folder)[len(later) + keep :], *unfinished]:
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


def load_latest(folder: Path, notify: Callable[[str], None]) -> Checkpoint | None:
    """The newest whole checkpoint in ``folder``, or None where there is none.

    Args:
        folder: The run's checkpoints.
        notify: Told in one line of each checkpoint that is passed over.
    """
    for path in _newest_first(folder):
        try:
            return _load(path)
        except (OSError, ValueError) as error:
            notify(f"{path}: damaged ({one_line(error)}); using the checkpoint before it")
    return None


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
    with beside.open("x", encoding="utf-8") as file:
        file.write(text)
    sync(beside)
    beside.replace(path)


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


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step_" + "[0-9]" * 8), reverse=True)


def _load(path: Path) -> Checkpoint:
    hashes, state = _json(path / "sha256.json"), _json(path / "state.json")
    if not isinstance(hashes, dict) or "state.json" not in hashes:
        raise ValueError("sha256.json is not what was written")
    if absent := hashes.keys() - set(os.listdir(path)):
        raise ValueError(f"sha256.json: there is no {word(min(absent))} in the checkpoint")
    for name, expected in hashes.items():
        if digest(path / name) != expected:
            raise ValueError(f"{name} does not match its checksum")
    match state:
        case {"step": int(step), "files": [*names], "state": dict(rest)} if path.name == _name(step):
            files = {str(name): f"{name}.safetensors" for name in names}
            if {"state.json", *files.values()} == hashes.keys():
                return Checkpoint(step, {name: _tensors(path / file) for name, file in files.items()}, rest)
    raise ValueError("state.json is not what was written")


def _name(step: int) -> str:
    return f"step_{step:08d}"


def _json(file: Path) -> Any:
    try:
        return json.loads(contents(file))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file.name}: {error}") from None


def _tensors(file: Path) -> Tensors:
    try:
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file.name}: {error}") from None
