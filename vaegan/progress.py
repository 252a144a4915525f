"""Progress and notes of long work, as callbacks; only `vaegan.cli` formats them for a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

ProgressCallback = Callable[[int, int], None]
"""A function that is called with (done, total) as work goes on."""


def ignore_progress(done: int, total: int) -> None:
    """Show nothing: the default `ProgressCallback`."""


def nest_progress(progress: ProgressCallback, before: int, count: int, total: int) -> ProgressCallback:
    """Return a callback for one part of a task, which calls ``progress`` with the progress of the complete task.

    Args:
        progress: Callback of the complete task.
        before: Units of the task that are done before the part.
        count: Units of the part.
        total: Units of the complete task.
    """
    return lambda done, part_total: progress(before + count * done // part_total, total)


class Reporter:
    """A receiver of notes and progress that shows nothing; `vaegan.cli.console.Console` shows them to a person."""

    def note(self, text: str) -> None:
        """Report one line about what is going on."""

    def note_once(self, text: str) -> None:
        """Report one line, unless the same line was reported before."""

    @contextmanager
    def progress(self, title: str, unit: str, per_step: int = 1) -> Iterator[ProgressCallback]:
        """Yield a callback that is called with (done, total) while the work of the block goes on.

        Args:
            title: Name of the work.
            unit: What the rate counts, for example "images".
            per_step: Units of one step, for example the images of a batch.
        """
        yield ignore_progress
