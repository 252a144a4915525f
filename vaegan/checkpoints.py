"""Checkpoints that survive a kill at any moment and run no code when they are read.

A checkpoint is a folder ``step_XXXXXXXX`` of safetensors files and a ``state.json``, with their SHA-256 beside them.
It is written beside, synced, then renamed, so that a folder of that name is whole or damaged by something else;
a damaged one is passed over with a word about it.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

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
    final = folder / f"step_{checkpoint.step:08d}"
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
    later = [path for path in _newest_first(folder) if path.name > f"step_{step:08d}"]
    unfinished = folder.glob("step_*.*")
    for path in [*later, *_newest_first(folder)[len(later) + keep :], *unfinished]:
        shutil.rmtree(path)


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
        except (OSError, ValueError, SafetensorError) as error:
            notify(f"{path}: damaged ({error}); using the checkpoint before it")
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
        shutil.rmtree(self.partial, ignore_errors=True)
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
        shutil.rmtree(old, ignore_errors=True)
        if self.final.exists():
            self.final.rename(old)
            shutil.rmtree(old, ignore_errors=True)
        self.partial.rename(self.final)  # last of all, so that a kill leaves nothing beside what is whole
        sync(self.final.parent)


def write_text(path: Path, text: str) -> None:
    """Put a text file in place: whoever looks finds the old one or the new one, never half of one."""
    beside = path.with_name(path.name + ".partial")
    beside.write_text(text, encoding="utf-8")
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
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            checksum.update(block)
    return checksum.hexdigest()


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step_" + "[0-9]" * 8), reverse=True)


def _load(path: Path) -> Checkpoint:
    hashes = json.loads((path / "sha256.json").read_text(encoding="utf-8"))
    if not isinstance(hashes, dict) or "state.json" not in hashes:
        raise ValueError("sha256.json is not what was written")
    for name, expected in hashes.items():
        if digest(path / name) != expected:
            raise ValueError(f"{name} does not match its checksum")
    record = json.loads((path / "state.json").read_text(encoding="utf-8"))
    tensors = {name: load_file(path / f"{name}.safetensors") for name in record["files"]}
    return Checkpoint(record["step"], tensors, record["state"])
