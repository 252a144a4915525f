"""A first Ctrl-C or SIGTERM lets the step end and a checkpoint be written; a second Ctrl-C stops at once.

Launchers and schedulers pass the same signal on to processes that had it already, so what comes within a second,
and any further SIGTERM, is taken for the first one's echo. After SIGTERM the process ends by itself before the
scheduler kills it, wherever it is.
"""

import signal
import threading
import time
from types import FrameType
from typing import Any

import torch

from vaegan.errors import Interrupted
from vaegan.processes import anywhere

ECHO = 1.0
"""Seconds within which a signal is heard once."""
AGAIN = 5.0
"""Seconds after which an end that still waits for something is ended again."""


class Interrupts:
    """Remembers signals inside a ``with`` block, on the main thread; elsewhere it changes nothing.

    Args:
        grace: Seconds from SIGTERM to the end of the block, whatever it is doing then.
        device: The one that this process computes on.
    """

    def __init__(self, grace: float, device: torch.device) -> None:
        self.grace, self.device = grace, device
        self.received: float | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._timed = False

    def __enter__(self) -> "Interrupts":
        """Start to listen."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *error: object) -> None:
        """Give the signals back."""
        if self._timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def anywhere(self, or_else: bool = False) -> bool:
        """Whether any process was asked to stop, or has another reason to; all ask together and get the same answer."""
        return anywhere(or_else or self.received is not None, self.device)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGTERM and not self._timed and hasattr(signal, "setitimer"):  # not on Windows
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._end)
            signal.setitimer(signal.ITIMER_REAL, self.grace, AGAIN)
            self._timed = True
        if self.received is None:
            self.received = now
        elif number == signal.SIGINT and now - self.received > ECHO:
            raise KeyboardInterrupt

    def _end(self, number: int, frame: FrameType | None) -> None:
        raise Interrupted(
            f"train.grace_seconds: the {self.grace:g} s after SIGTERM are over; go on from the last checkpoint with"
            " --resume"
        )
