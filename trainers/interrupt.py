"""A first Ctrl-C or SIGTERM lets the step end and a checkpoint be written; a second Ctrl-C stops at once.

Launchers and schedulers pass the same signal on to processes that had it already, so what comes within a second,
and any further SIGTERM, is taken for the first one's echo.
"""

import signal
import threading
import time
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator

ECHO = 1.0
"""Seconds within which a signal is heard once."""


class Interrupts:
    """Remembers signals inside a ``with`` block, on the main thread; elsewhere it changes nothing."""

    def __init__(self) -> None:
        self.received: float | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        """Start to listen."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *error: object) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_any_process(self, accelerator: Accelerator) -> bool:
        """Whether any process was asked to stop; all processes ask together and get the same answer."""
        asked = self.received is not None
        if accelerator.num_processes == 1:
            return asked
        flag = torch.tensor([float(asked)], device=accelerator.device)
        return bool(accelerator.reduce(flag, "sum").item())

    def _remember(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received = now
        elif number == signal.SIGINT and now - self.received > ECHO:
            raise KeyboardInterrupt
