"""Checkpoints that survive a kill at any moment and run no code when they are read.

A checkpoint is a folder ``step_XXXXXXXX`` of safetensors files and a ``state.json``, with their SHA-256 beside them.
It is written beside, synced, then renamed, so that a folder of that name is whole or damaged by something else. A
damaged one is passed over with a word about it: a file is missing, or its contents are not what was written. What the
disk cannot read at this moment is not damaged.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vaegan.errors import FileFailure
from vaegan.io import MAX_TEXT_FILE_BYTES, hash_file, read_bytes, remove, replace_folder, save_tensors
from vaegan.text import get_reason, to_one_line, to_short_word

Tensors = Mapping[str, Tensor]

DAMAGED_SUFFIX = ".damaged"
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


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint into ``folder``, and ``prune_checkpoints`` it.

    Returns:
        The new checkpoint's folder.

    Raises:
        OSError: It could not be written; older checkpoints are untouched.
    """
    final = folder / _name(checkpoint.step)
    with replace_folder(final) as partial:
        for name, tensors in checkpoint.tensors.items():
            save_tensors(tensors, partial / f"{name}.safetensors")
        state = {"step": checkpoint.step, "files": list(checkpoint.tensors), "state": checkpoint.state}
        (partial / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
        hashes = {file.name: hash_file(file) for file in sorted(partial.iterdir())}
        (partial / "sha256.json").write_text(json.dumps(hashes, indent=1), encoding="utf-8")
    prune_checkpoints(folder, checkpoint.step, keep)
    return final


def prune_checkpoints(folder: Path, step: int, keep: int) -> None:
    """Delete all checkpoints in ``folder`` up to a step but the newest ``keep``, and what a kill has left of others."""
    old = [path for path in _found(folder) if path.name <= _name(step)][keep:]
    for path in [*old, *_found(folder, r"\.(partial|old)")]:
        remove(path)


def find_newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, dict[Path, str]]:
    """Read the newest whole checkpoint in ``folder``.

    Returns:
        It, or None where there is none; and what is wrong with each damaged one that is newer. Where none is whole,
        those that were set aside are among these.

    Raises:
        FileFailure: The disk cannot be read.
    """
    with _disk(folder):
        paths, aside = _found(folder), _found(folder, re.escape(DAMAGED_SUFFIX))
    damaged: dict[Path, str] = {}
    for path in paths:
        try:
            return _load(path), damaged
        except ValueError as error:
            damaged[path] = str(error)
    return None, damaged | dict.fromkeys(aside, "set aside before")


def load_newest_checkpoint(folder: Path, notify: Callable[[str], None]) -> Checkpoint | None:
    """The newest whole checkpoint in ``folder``, or None where there is none; nothing is changed.

    Args:
        folder: The run's checkpoints.
        notify: Told in one line of each checkpoint that is passed over.

    Raises:
        FileFailure: The disk cannot be read.
    """
    checkpoint, damaged = find_newest_checkpoint(folder)
    for path, why in damaged.items():
        notify(f"{path}: damaged ({why})" + (f"; using {_name(checkpoint.step)}" if checkpoint else ""))
    return checkpoint


def set_checkpoint_aside(path: Path) -> Path:
    """Rename a damaged checkpoint, so that it is neither counted nor deleted, in the place of an older one so named.

    Returns:
        Its new path.
    """
    aside = path.with_name(path.name + DAMAGED_SUFFIX)
    remove(aside)
    path.rename(aside)
    return aside


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
        raise ValueError(f"sha256.json: there is no {to_short_word(min(absent))} in the checkpoint")
    for name, expected in hashes.items():
        with _reading(path / name):
            if hash_file(path / name) != expected:
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
        if file.stat().st_size > MAX_TEXT_FILE_BYTES:
            raise ValueError(f"more than {MAX_TEXT_FILE_BYTES:,} bytes")
        return json.loads(read_bytes(file))


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
            raise ValueError(f"{file.name}: {to_one_line(error)}") from None


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Say in one line of what it is that the disk cannot read it.

    Raises:
        FileFailure: It cannot.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # PyTorch says the latter
        raise FileFailure(f"{path}: {get_reason(error)}; nothing was changed; try again when it can be read") from error


def _is_file(path: Path) -> bool:
    try:
        return S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
