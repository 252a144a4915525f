"""Notes and progress in a Jupyter notebook, and the choice between it, a terminal and a script."""

import html
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vaegan.cli.console import MIN_BAR_SECONDS, Console
from vaegan.progress import ProgressCallback, Speed, ignore_progress
from vaegan.text import make_printable

UPDATE_SECONDS = 0.25
"""Seconds between two updates of a bar."""


def make_reporter(progress: bool = True) -> Console:
    """Return what shows notes and progress where this process runs: in a notebook, on a terminal or in a script's log.

    Args:
        progress: Whether progress is shown; notes always are.
    """
    return NotebookConsole(bars=progress) if in_notebook() else Console(bars=progress)


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


class NotebookConsole(Console):
    """A `Console` that prints notes like a cell's output, and shows progress as a bar that ends as one line of text."""

    def __init__(self, shown: bool | None = None, bars: bool = True) -> None:
        super().__init__(shown, bars)
        self.interactive = True
        # Other packages import tqdm, which misses ipywidgets; these bars do without.
        warnings.filterwarnings("ignore", message="IProgress not found")

    def note(self, text: str) -> None:
        """Print one line about what is going on."""
        self.say(make_printable(text))

    @contextmanager
    def progress(self, title: str, unit: str, per_step: int = 1) -> Iterator[ProgressCallback]:
        """Show a bar with rate and time left; work of less than `MIN_BAR_SECONDS` shows nothing.

        Args:
            title: Name of the work.
            unit: What the rate counts, for example "images".
            per_step: Units of one step, for example the images of a batch.
        """
        if not self.bars:
            yield ignore_progress
            return
        bar = _Bar(make_printable(title), unit, per_step)
        start = threading.Timer(MIN_BAR_SECONDS, bar.show)
        start.start()
        try:
            yield bar.update
        finally:
            start.cancel()
            start.join()
            bar.finish()


class _Bar:
    """One bar in the output of a cell."""

    def __init__(self, title: str, unit: str, per_step: int) -> None:
        self.title, self.speed = title, Speed(unit, per_step)
        self.done = self.total = 0
        self.started = self.shown = time.monotonic()
        self.handle: Any = None

    def show(self) -> None:
        from IPython.display import display

        self.handle = display(self._render(), raw=True, display_id=True)

    def update(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        self.speed.measure(done)
        if self.handle is not None and time.monotonic() - self.shown >= UPDATE_SECONDS:
            self.shown = time.monotonic()
            self.handle.update(self._render(), raw=True)

    def finish(self) -> None:
        """Replace the bar by a line of text, whether the work was finished or not."""
        if self.handle is not None:
            words = [self.speed.format_rate(self.done), f"{time.monotonic() - self.started:,.0f} s"]
            self.handle.update(self._format(words, ""), raw=True)

    def _render(self) -> dict[str, str]:
        words = [self.speed.format_rate(self.done), self.speed.format_time_left(self.done, self.total)]
        fraction = f'value="{self.done}" max="{self.total}"' if self.total else ""  # without a value: it is busy
        return self._format(words, f'<progress {fraction} style="width: 16em; margin: 0 1em"></progress>')

    def _format(self, words: list[str], bar: str) -> dict[str, str]:
        """Return an output of a cell as HTML and as text."""
        counts = [f"{self.done:,}/{self.total:,}"] if self.total else []
        text = ", ".join(filter(None, [*counts, *words]))
        line = f"{html.escape(self.title)}:{bar} {text}"
        return {
            "text/plain": f"{self.title}: {text}",
            "text/html": f'<div style="font-variant-numeric: tabular-nums">{line}</div>',
        }
