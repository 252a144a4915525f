"""What a person sees of long work: progress bars on a terminal, plain lines elsewhere, nothing on other ranks."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Update = Callable[[int, int], None]
"""Told (done, total) as work goes on."""

SECONDS_BETWEEN_LINES = 15.0


def silent(done: int, total: int) -> None:
    """An `Update` that shows nothing."""


class Console:
    """Where notes and progress go.

    Args:
        shown: Whether this process is the one that speaks.
    """

    def __init__(self, shown: bool = True) -> None:
        self.shown = shown

    def note(self, text: str) -> None:
        """One line on the standard error stream."""
        if self.shown:
            print(text, file=sys.stderr, flush=True)

    @contextmanager
    def progress(self, what: str, unit: str, per_step: int = 1) -> Iterator[Update]:
        """A bar with rate and time left, or a line now and then where the output is no terminal.

        Args:
            what: What is being done.
            unit: What is counted by the rate.
            per_step: Units of one step (the images of a batch, say).
        """
        if not self.shown:
            yield silent
        elif sys.stderr.isatty():
            with _bar(what, unit, per_step) as update:
                yield update
        else:
            yield _lines(what, unit, per_step)


@contextmanager
def _bar(what: str, unit: str, per_step: int) -> Iterator[Update]:
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Terminal(stderr=True), refresh_per_second=5) as progress:
        task = progress.add_task(what, total=None, rate="")
        first: list[tuple[int, float]] = []

        def update(done: int, total: int) -> None:
            first.append((done, time.monotonic())) if not first else None
            progress.update(task, completed=done, total=total, rate=_rate(first[0], done, unit, per_step))

        yield update


def _lines(what: str, unit: str, per_step: int) -> Update:
    first: list[tuple[int, float]] = []
    last = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if not first:
            first.append((done, now))
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = (now - first[0][1]) / max(1, done - first[0][0]) * (total - done)
            rate = _rate(first[0], done, unit, per_step)
            print(f"{what}: {done}/{total}, {rate}, {left:.0f} s left", file=sys.stderr, flush=True)

    return update


def _rate(first: tuple[int, float], done: int, unit: str, per_step: int) -> str:
    seconds = time.monotonic() - first[1]
    return f"{(done - first[0]) * per_step / seconds:,.0f} {unit}/s" if seconds > 0 and done > first[0] else ""
