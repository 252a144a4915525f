"""Progress and notes of long work, as callbacks; `vaegan.cli.console` and `vaegan.notebook` show them to a person."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ProgressCallback = Callable[[int, int], None]
"""A function that is called with (done, total) as work goes on."""


def ignore_progress(done: int, total: int) -> None:
    """Show nothing: the default `ProgressCallback`."""


def ignore_notice(message: str) -> None:
    """Show nothing: the default of functions that say something in one line."""


def nest_progress(progress: ProgressCallback, before: int, count: int, total: int) -> ProgressCallback:
    """Return a callback for one part of a task, which calls ``progress`` with the progress of the complete task.

    Args:
        progress: Callback of the complete task.
        before: Units of the task that are done before the part.
        count: Units of the part.
        total: Units of the complete task.
    """
    return lambda done, part_total: progress(before + count * done // part_total, total)


class Speed:
    """The speed of a task since its first report; steps of a resumed run that were done before do not count.

    Args:
        unit: What the rate counts, for example "images".
        per_step: Units of one step, for example the images of a batch.
    """

    def __init__(self, unit: str, per_step: int) -> None:
        self.unit, self.per_step = unit, per_step
        self.first: tuple[int, float] | None = None

    def measure(self, done: int) -> float:
        """Return the steps per second; 0 if they are not known yet."""
        self.first = self.first or (done, time.monotonic())
        steps, seconds = done - self.first[0], time.monotonic() - self.first[1]
        return steps / seconds if steps > 0 and seconds > 0 else 0.0

    def format_rate(self, done: int) -> str:
        """Return the units per second in words; an empty text if they are not known yet."""
        rate = self.measure(done) * self.per_step
        return f"{rate:,.{0 if rate >= 10 else 1}f} {self.unit}/s" if rate else ""

    def format_time_left(self, done: int, total: int) -> str:
        """Return the seconds left in words; an empty text if they are not known, or nothing is left to do."""
        speed = self.measure(done)
        return f"{(total - done) / speed:,.0f} s left" if done < total and speed else ""


class Reporter:
    """A receiver of notes and progress that shows nothing; `vaegan.cli.console.Console` shows them to a person.

    Attributes:
        interactive: Whether a person may be watching who can stop the work.
    """

    interactive = False

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
