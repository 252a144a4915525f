"""Output, notes and progress for a person: a bar on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from vaegan.distributed import get_rank
from vaegan.progress import ProgressCallback, Reporter, Speed, ignore_progress
from vaegan.text import make_printable

from .streams import is_terminal

MIN_BAR_SECONDS = 0.5
"""Seconds of work after which a progress bar is shown."""
SECONDS_BETWEEN_LINES = 15.0
"""Least seconds between two lines of progress, where there is no terminal."""
MIN_BAR_TERMINAL_COLUMNS = 60
"""Columns of a terminal below which only the numbers are shown, without a bar."""


class Console(Reporter):
    """A `Reporter` that prints the output of a command to standard output, notes and progress to standard error.

    Args:
        shown: Whether this process prints; by default only rank 0 does.
        bars: Whether it shows progress.
    """

    def __init__(self, shown: bool | None = None, bars: bool = True) -> None:
        self.shown = get_rank() == 0 if shown is None else shown
        self.bars = self.shown and bars
        self.interactive = is_terminal(sys.stderr)
        self.noted: set[str] = set()

    def say(self, text: str) -> None:
        """Print lines of the command's output."""
        if self.shown:
            print("\n".join(map(make_printable, text.split("\n"))), flush=True)

    def table(self, header: list[str], rows: list[list[str]]) -> None:
        """Print a table of the command's output; its first column holds names, the others numbers."""
        from rich.box import SIMPLE_HEAD
        from rich.console import Console as Terminal
        from rich.table import Table

        if self.shown:
            table = Table(box=SIMPLE_HEAD)
            for column, name in enumerate(map(make_printable, header)):
                table.add_column(name, justify="right" if column else "left", overflow="fold")
            for row in rows:
                table.add_row(*map(make_printable, row))
            width = None if is_terminal(sys.stdout) else 200
            Terminal(width=width, markup=False, highlight=False).print(table)

    def pairs(self, pairs: Mapping[str, str]) -> None:
        """Print names and what is said of each, one below the other."""
        from rich.console import Console as Terminal
        from rich.table import Table

        if self.shown:
            table = Table.grid(padding=(0, 2), pad_edge=True)
            for name, text in pairs.items():
                table.add_row(f" {make_printable(name)}", make_printable(text))
            width = None if is_terminal(sys.stdout) else 200
            Terminal(width=width, markup=False, highlight=False).print(table)

    def note(self, text: str) -> None:
        """Print one line about what is going on."""
        if self.shown:
            print(make_printable(text), file=sys.stderr, flush=True)

    def note_once(self, text: str) -> None:
        """Print one line, unless the same line was printed before."""
        if text not in self.noted:
            self.noted.add(text)
            self.note(text)

    @contextmanager
    def progress(self, title: str, unit: str, per_step: int = 1) -> Iterator[ProgressCallback]:
        """Show a bar with rate and time left, or a line every `SECONDS_BETWEEN_LINES` if the output is no terminal.

        Work of less than `MIN_BAR_SECONDS` shows nothing.

        Args:
            title: Name of the work.
            unit: What the rate counts, for example "images".
            per_step: Units of one step, for example the images of a batch.
        """
        title = make_printable(title)
        if not self.bars:
            yield ignore_progress
        elif is_terminal(sys.stderr):
            with _show_bar(title, unit, per_step) as update:
                yield update
        else:
            yield _print_lines(title, unit, per_step)


@contextmanager
def _show_bar(title: str, unit: str, per_step: int) -> Iterator[ProgressCallback]:
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
    task = progress.add_task(title, total=0, rate="", visible=False)
    speed = Speed(unit, per_step)

    def update(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total, rate=speed.format_rate(done), visible=True)

    start = threading.Timer(MIN_BAR_SECONDS, progress.start)
    start.start()
    try:
        yield update
    finally:
        start.cancel()
        start.join()
        progress.stop()


def _print_lines(title: str, unit: str, per_step: int) -> ProgressCallback:
    speed = Speed(unit, per_step)
    printed = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal printed
        words = [f"{title}: {done:,}/{total:,}", speed.format_rate(done), speed.format_time_left(done, total)]
        if time.monotonic() - printed >= SECONDS_BETWEEN_LINES:
            printed = time.monotonic()
            print(", ".join(filter(None, words)), file=sys.stderr, flush=True)

    return update
