"""The moments at which a training can be killed.

There is one before each change of a file or folder, half-way through each write of a file, before each sync, and before
each part of a step and of an evaluation.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

import vaegan.evaluate.classifier_evaluation
import vaegan.evaluate.model_evaluation
from vaegan.networks import spectral_norm
from vaegan.trainers import ema, loop
from vaegan.trainers.log.history import History

CALLS: tuple[tuple[Any, str], ...] = (
    (os, "fsync"), (loop, "compute_gradients"), (torch.Tensor, "backward"), (torch.optim.Adam, "step"),
    (spectral_norm, "update_spectral_norm"), (ema, "update_ema"),
)  # fmt: skip
"""Functions before whose calls there is a moment, besides the changes that Python's audit events report."""
WRITERS: tuple[tuple[Any, str, Callable[..., Path]], ...] = (
    (safetensors.torch, "save_file", lambda tensors, file, *metadata: Path(file)),
    (History, "write", lambda history, *line: Path(history._file.name)),
)
"""Functions that write a file which Python does not open, or append to one; and how to find its path."""


class Moments:
    """A log of the moments of this process, which kills it at one of them.

    Args:
        folder: Run folder.
        names: File to which the moments' names are written.
        last: Number of the moment at which to kill, from 1; 0: none.
    """

    def __init__(self, folder: Path, names: Path, last: int) -> None:
        self.folder, self.left = folder, last
        self.names = os.open(names, os.O_WRONLY)
        self.writing: tuple[Path, int] | None = None
        for owner, name in CALLS:
            self.wrap(owner, name)
        for owner, name, which in WRITERS:
            self.wrap(owner, name, which)
        watch_evaluations(lambda done, total: self.pass_moment(f"evaluation: {done}/{total}"))
        sys.addaudithook(self.handle_audit_event)

    def pass_moment(self, name: str, path: Path | None = None) -> None:
        """Pass a moment, and before it the one at which half of the file just written was on disk."""
        if self.writing is not None:
            (written, before), self.writing = self.writing, None
            self.log_or_die(
                f"half of writing: {self.relative(written)}",
                lambda: os.truncate(written, (before + written.stat().st_size) // 2),
            )
        self.log_or_die(name if path is None else f"{name}: {self.relative(path)}")

    def log_or_die(self, name: str, undo: Callable[[], None] = lambda: None) -> None:
        """Log a moment; if it is the last one, call ``undo`` and kill this process."""
        os.write(self.names, f"{name}\n".encode())
        self.left -= 1
        if self.left == 0:
            undo()
            os.kill(os.getpid(), signal.SIGKILL)

    def relative(self, path: Path) -> str:
        """Return a path relative to the run folder."""
        return os.path.relpath(path, self.folder)

    def write(self, path: Path, before: int) -> None:
        """Pass the moment before a file is written, of which the first ``before`` bytes are kept."""
        self.pass_moment("before writing", path)
        self.writing = path, before

    def handle_audit_event(self, event: str, args: tuple[Any, ...]) -> None:
        """Pass a moment for an audit event of Python (see its table) that changes a file or folder."""
        if event == "open" and isinstance(args[0], str) and args[2] & (os.O_WRONLY | os.O_RDWR):
            path = Path(args[0]).absolute()
            if self.folder in path.parents and not args[2] & os.O_APPEND:
                self.write(path, 0)
        elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            in_an_open_folder = args[-1] != -1
            self.pass_moment(f"before {event[3:]}", None if in_an_open_folder else Path(args[0]))

    def wrap(self, owner: Any, name: str, which: Callable[..., Path] | None = None) -> None:
        """Pass a moment before every call of a function, or the moments of the file that it writes."""
        original = getattr(owner, name)

        def call_at_moment(*args: Any, **options: Any) -> Any:
            if which is None:
                self.pass_moment(f"before {name}")
            else:
                path = which(*args).absolute()
                self.write(path, path.stat().st_size if path.exists() else 0)
            return original(*args, **options)

        setattr(owner, name, call_at_moment)


def watch_evaluations(tell: Callable[[int, int], None]) -> None:
    """Call ``tell`` with (images done, images in all) after every round of an evaluation."""

    def watch(module: Any, name: str) -> None:
        original = getattr(module, name)

        def evaluate_watched(*args: Any, progress: Callable[[int, int], None], **options: Any) -> Any:
            def update(done: int, total: int) -> None:
                tell(done, total)
                progress(done, total)

            return original(*args, progress=update, **options)

        setattr(module, name, evaluate_watched)

    watch(vaegan.evaluate.model_evaluation, "evaluate_model")
    watch(vaegan.evaluate.classifier_evaluation, "evaluate_classifier")
