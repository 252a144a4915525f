"""How long work reports its progress and its notes, without knowing a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

ProgressCallback = Callable[[int, int], None]
"""Told (done, total) as work goes on."""


def ignore_progress(done: int, total: int) -> None:
    """An `ProgressCallback` that shows nothing."""


class Reporter:
    """Takes notes and progress, and shows nothing; `vaegan.cli.console.Console` shows them to a person."""

    def note(self, text: str) -> None:
        """Take one line about what is going on."""

    def note_once(self, text: str) -> None:
        """Take one line, and drop it if it was noted before."""

    @contextmanager
    def progress(self, title: str, unit: str, per_step: int = 1) -> Iterator[ProgressCallback]:
        """Yield a callback that is told how far some work is.

        Args:
            title: What is being done.
            unit: What the rate counts.
            per_step: Units of one step, for example the images of a batch.
        """
        yield ignore_progress
