"""The moments at which a training can be killed.

One comes before each change of a file or folder, half-way through each writing of a file, before each sync, and before
each part of a step and of an evaluation.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import vaegan.evaluate.classifier
import vaegan.evaluate.model
import vaegan.io
from vaegan.networks import spectral_norm
from vaegan.trainers import ema, loop
from vaegan.trainers.log.history import History

CALLS: tuple[tuple[Any, str], ...] = (
    (os, "fsync"), (loop, "compute_gradients"), (torch.Tensor, "backward"), (torch.optim.Adam, "step"),
    (spectral_norm, "update_spectral_norm"), (ema, "update_ema"),
)  # fmt: skip
"""What is a moment beside the changes that Python itself tells of."""
WRITERS: tuple[tuple[Any, str, Callable[..., Path]], ...] = (
    (vaegan.io, "save_file", lambda tensors, file: Path(file)),
    (History, "write", lambda history, *line: Path(history._file.name)),
)
"""What writes a file without Python opening it, or at its end; and which."""


class Moments:
    """Names the moments of this process in a file as they come, and kills it at one of them.

    Args:
        folder: The run's.
        names: The file.
        last: Number of the moment that is the last, from 1; 0: none is.
    """

    def __init__(self, folder: Path, names: Path, last: int) -> None:
        self.folder, self.left = folder, last
        self.names = os.open(names, os.O_WRONLY)
        self.writing: tuple[Path, int] | None = None
        for owner, name in CALLS:
            self.watch(owner, name)
        for owner, name, which in WRITERS:
            self.watch(owner, name, which)
        watch_evaluations(lambda done, total: self.come(f"evaluation: {done}/{total}"))
        sys.addaudithook(self.hear)

    def come(self, name: str, path: Path | None = None) -> None:
        """One more moment, and before it the one when half was written of the file that has just been written."""
        if self.writing is not None:
            (written, before), self.writing = self.writing, None
            self.pass_by(
                f"half of writing: {self.relative(written)}",
                lambda: os.truncate(written, (before + written.stat().st_size) // 2),
            )
        self.pass_by(name if path is None else f"{name}: {self.relative(path)}")

    def pass_by(self, name: str, undo: Callable[[], None] = lambda: None) -> None:
        """Note a moment; at the last one, undo what has been done too much, and die."""
        os.write(self.names, f"{name}\n".encode())
        self.left -= 1
        if self.left == 0:
            undo()
            os.kill(os.getpid(), signal.SIGKILL)

    def relative(self, path: Path) -> str:
        """A path in the run folder."""
        return os.path.relpath(path, self.folder)

    def write(self, path: Path, before: int) -> None:
        """A file is about to be written; so many bytes are kept of what it has."""
        self.come("before writing", path)
        self.writing = path, before

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        """What Python is about to do: see its table of audit events."""
        if event == "open" and isinstance(args[0], str) and args[2] & (os.O_WRONLY | os.O_RDWR):
            path = Path(args[0]).absolute()
            if self.folder in path.parents and not args[2] & os.O_APPEND:
                self.write(path, 0)
        elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            in_an_open_folder = args[-1] != -1
            self.come(f"before {event[3:]}", None if in_an_open_folder else Path(args[0]))

    def watch(self, owner: Any, name: str, which: Callable[..., Path] | None = None) -> None:
        """Let every call of a function be a moment, or the writing of a file."""
        original = getattr(owner, name)

        def watched(*args: Any, **options: Any) -> Any:
            if which is None:
                self.come(f"before {name}")
            else:
                path = which(*args).absolute()
                self.write(path, path.stat().st_size if path.exists() else 0)
            return original(*args, **options)

        setattr(owner, name, watched)


def watch_evaluations(tell: Callable[[int, int], None]) -> None:
    """Be told after every round of an evaluation how many images of how many are done."""

    def watch(module: Any, name: str) -> None:
        original = getattr(module, name)

        def watched(*args: Any, progress: Callable[[int, int], None], **options: Any) -> Any:
            def update(done: int, total: int) -> None:
                tell(done, total)
                progress(done, total)

            return original(*args, progress=update, **options)

        setattr(module, name, watched)

    watch(vaegan.evaluate.model, "evaluate_model")
    watch(vaegan.evaluate.classifier, "evaluate_classifier")
