"""What a person sees: answers, notes, and progress bars on a terminal or plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from vaegan.progress import ProgressCallback, Reporter, ignore_progress
from vaegan.text import make_printable

MIN_BAR_SECONDS = 0.5
"""Seconds of work."""
SECONDS_BETWEEN_LINES = 15.0
MIN_BAR_TERMINAL_COLUMNS = 60
"""Characters of a terminal that has no room for a bar beside the figures."""


class Console(Reporter):
    """Where answers (standard output), notes and progress (standard error) go.

    Args:
        shown: Whether this process is the one that speaks.
    """

    def __init__(self, shown: bool = True) -> None:
        self.shown = shown
        self.noted: set[str] = set()

    def say(self, text: str) -> None:
        """A part of the answer."""
        if self.shown:
            print("\n".join(map(make_printable, text.split("\n"))), flush=True)

    def table(self, header: list[str], rows: list[list[str]]) -> None:
        """A part of the answer in columns, the first of words and the others of numbers."""
        from rich.box import SIMPLE_HEAD
        from rich.console import Console as Terminal
        from rich.table import Table

        if self.shown:
            table = Table(box=SIMPLE_HEAD)
            for column, name in enumerate(map(make_printable, header)):
                table.add_column(name, justify="right" if column else "left", overflow="fold")
            for row in rows:
                table.add_row(*map(make_printable, row))
            width = None if sys.stdout.isatty() else 200
            Terminal(width=width, markup=False, highlight=False).print(table)

    def note(self, text: str) -> None:
        """One line about what is going on."""
        if self.shown:
            print(make_printable(text), file=sys.stderr, flush=True)

    def note_once(self, text: str) -> None:
        """A note that is left out where it was said before."""
        if text not in self.noted:
            self.noted.add(text)
            self.note(text)

    @contextmanager
    def progress(self, what: str, unit: str, per_step: int = 1) -> Iterator[ProgressCallback]:
        """A bar with rate and time left, or a line now and then where the output is no terminal.

        Work that is done in a moment shows nothing.

        Args:
            what: What is being done.
            unit: What is counted by the rate.
            per_step: Units of one step (the images of a batch, say).
        """
        what = make_printable(what)
        if not self.shown:
            yield ignore_progress
        elif sys.stderr.isatty():
            with _bar(what, unit, per_step) as update:
                yield update
        else:
            yield _lines(what, unit, per_step)


class _Pace:
    """How fast the work goes, from its first report on: what a resumed run has behind it does not count."""

    def __init__(self, unit: str, per_step: int) -> None:
        self.unit, self.per_step = unit, per_step
        self.first: tuple[int, float] | None = None

    def per_second(self, done: int) -> float:
        """Steps per second; 0: not known yet."""
        self.first = self.first or (done, time.monotonic())
        steps, seconds = done - self.first[0], time.monotonic() - self.first[1]
        return steps / seconds if steps > 0 and seconds > 0 else 0.0

    def rate(self, done: int) -> str:
        speed = self.per_second(done) * self.per_step
        return f"{speed:,.{0 if speed >= 10 else 1}f} {self.unit}/s" if speed else ""

    def seconds_left(self, done: int, total: int) -> float:
        """0: not known yet."""
        speed = self.per_second(done)
        return (total - done) / speed if speed else 0.0


@contextmanager
def _bar(what: str, unit: str, per_step: int) -> Iterator[ProgressCallback]:
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    terminal = Terminal(stderr=True)
    columns = [
        TextColumn("{task.description}", markup=False),
        *([BarColumn(bar_width=28)] if terminal.width >= MIN_BAR_TERMINAL_COLUMNS else []),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[rate]}"),
    ]
    progress = Progress(*columns, console=terminal, refresh_per_second=5)
    task = progress.add_task(what, total=0, rate="", visible=False)
    pace = _Pace(unit, per_step)

    def update(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total, rate=pace.rate(done), visible=True)

    start = threading.Timer(MIN_BAR_SECONDS, progress.start)
    start.start()
    try:
        yield update
    finally:
        start.cancel()
        start.join()
        progress.stop()


def _lines(what: str, unit: str, per_step: int) -> ProgressCallback:
    pace = _Pace(unit, per_step)
    printed = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal printed
        words = [f"{what}: {done:,}/{total:,}", pace.rate(done)]
        left = pace.seconds_left(done, total)
        if time.monotonic() - printed >= SECONDS_BETWEEN_LINES:
            printed = time.monotonic()
            words += [f"{left:,.0f} s left"] if left else []
            print(", ".join(filter(None, words)), file=sys.stderr, flush=True)

    return update
