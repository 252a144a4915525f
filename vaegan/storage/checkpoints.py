"""Checkpoints that survive a kill at any moment and run no code when they are read.

A checkpoint is a folder ``step_XXXXXXXX`` of safetensors files and a ``state.json``, with their SHA-256 in
``sha256.json``. It is written under another name, synced, then renamed, so that a folder of that name is complete
unless something else damaged it. A damaged checkpoint (a file is missing, or does not match its hash) is skipped
with a note. A disk that cannot be read at this moment does not make a checkpoint damaged.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any, TypeVar

from safetensors import SafetensorError
from torch import Tensor

from vaegan.errors import FileFailure
from vaegan.io import MAX_TEXT_FILE_BYTES, hash_file, load_tensors, read_bytes, remove, replace_folder, save_tensors
from vaegan.text import get_reason, shorten, to_one_line

T = TypeVar("T")
Tensors = Mapping[str, Tensor]

DAMAGED_SUFFIX = ".damaged"
"""End of the name of a quarantined checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything of a training that a later step reads."""

    step: int
    """Number of optimizer steps taken."""
    tensors: Mapping[str, Tensors]
    """Named tensors of each file, by the file's name: networks, averaged weights, optimizer states, adaptive state."""
    state: Mapping[str, Any]
    """Everything that is not a tensor, as JSON values."""


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint into ``folder``, and prune older ones.

    Args:
        folder: The run's folder of checkpoints.
        checkpoint: The checkpoint.
        keep: Number of the newest checkpoints to keep, at least 1.

    Returns:
        The new checkpoint's folder.

    Raises:
        OSError: The checkpoint cannot be written; older checkpoints are untouched.
    """
    final = folder / _get_name(checkpoint.step)
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
    """Delete all checkpoints up to ``step`` except the newest ``keep``, and remnants of a killed process."""
    old = [path for path in _list_checkpoints(folder) if path.name <= _get_name(step)][keep:]
    for path in [*old, *_list_checkpoints(folder, r"\.(partial|old)")]:
        remove(path)


def find_newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, dict[Path, str]]:
    """Read the newest intact checkpoint in ``folder``.

    Returns:
        The checkpoint, or None if there is no intact one; and the damage of each newer checkpoint, by its path. If
        none is intact, these include the quarantined checkpoints.

    Raises:
        FileFailure: The disk cannot be read.
    """
    with _report_disk_errors(folder):
        paths, quarantined = _list_checkpoints(folder), _list_checkpoints(folder, re.escape(DAMAGED_SUFFIX))
    damaged: dict[Path, str] = {}
    for path in paths:
        try:
            return _load_checkpoint(path), damaged
        except ValueError as error:
            damaged[path] = str(error)
    return None, damaged | dict.fromkeys(quarantined, "set aside before")


def load_newest_checkpoint(folder: Path, notify: Callable[[str], None]) -> Checkpoint | None:
    """Read the newest intact checkpoint in ``folder``, or return None if there is none; change nothing.

    Args:
        folder: The run's folder of checkpoints.
        notify: Called with one line about each damaged checkpoint that is skipped.

    Raises:
        FileFailure: The disk cannot be read.
    """
    checkpoint, damaged = find_newest_checkpoint(folder)
    for path, reason in damaged.items():
        notify(f"{path}: damaged ({reason})" + (f"; using {_get_name(checkpoint.step)}" if checkpoint else ""))
    return checkpoint


def read_newest_fingerprint(folder: Path) -> str | None:
    """Return the fingerprint of the images that the newest checkpoint was written with; None: there is none to read."""
    with _report_disk_errors(folder):
        paths = _list_checkpoints(folder)
    for path in paths:
        try:
            match _read(path / "state.json", _load_json):
                case {"state": {"fingerprint": str(fingerprint)}}:
                    return fingerprint
        except ValueError:
            continue
    return None


def quarantine_checkpoint(path: Path) -> Path:
    """Rename a damaged checkpoint, so that it is neither counted nor pruned; replace an older one of the new name.

    Returns:
        The new path.
    """
    quarantined = path.with_name(path.name + DAMAGED_SUFFIX)
    remove(quarantined)
    path.rename(quarantined)
    return quarantined


def _list_checkpoints(folder: Path, suffix: str = "") -> list[Path]:
    """List the checkpoints in a folder whose names end with ``suffix`` (a regular expression), newest first."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names, reverse=True) if re.fullmatch("step_[0-9]{8}" + suffix, name)]


def _load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        ValueError: The checkpoint is damaged.
        FileFailure: The disk cannot be read.
    """
    hashes, state = _read(path / "sha256.json", _load_json), _read(path / "state.json", _load_json)
    if not isinstance(hashes, dict) or "state.json" not in hashes:
        raise ValueError("sha256.json is not what was written")
    with _report_disk_errors(path):
        missing = hashes.keys() - set(os.listdir(path))
    if missing:
        raise ValueError(f"sha256.json: there is no {shorten(min(missing))} in the checkpoint")
    for name, expected in hashes.items():
        if _read(path / name, hash_file) != expected:
            raise ValueError(f"{shorten(name)}: does not match its checksum")
    match state:
        case {"step": int(step), "files": [*names], "state": dict(rest)} if path.name == _get_name(step):
            files = {str(name): f"{name}.safetensors" for name in names}
            if {"state.json", *files.values()} == hashes.keys():
                return Checkpoint(step, {name: _read(path / file, load_tensors) for name, file in files.items()}, rest)
    raise ValueError("state.json is not what was written")


def _get_name(step: int) -> str:
    return f"step_{step:08d}"


def _load_json(file: Path) -> Any:
    if file.stat().st_size > MAX_TEXT_FILE_BYTES:
        raise ValueError(f"more than {MAX_TEXT_FILE_BYTES:,} bytes")
    return json.loads(read_bytes(file))


def _read(file: Path, load: Callable[[Path], T]) -> T:
    """Read a file of a checkpoint with ``load``.

    Raises:
        ValueError: The file does not exist, or ``load`` finds it damaged; the message names the file.
        FileFailure: The disk cannot be read.
    """
    with _report_disk_errors(file):
        try:
            if not _is_file(file):
                raise ValueError("there is no such file")
            return load(file)
        except (ValueError, RecursionError, SafetensorError) as error:
            raise ValueError(f"{file.name}: {to_one_line(error)}") from None


@contextmanager
def _report_disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the disk into one line that names the path.

    Raises:
        FileFailure: The block could not read from the disk.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # PyTorch raises the latter
        raise FileFailure(f"{path}: {get_reason(error)}; nothing was changed; try again when it can be read") from error


def _is_file(path: Path) -> bool:
    try:
        return S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
