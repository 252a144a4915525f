"""A first Ctrl-C or SIGTERM lets the step end and a checkpoint be written; a second Ctrl-C stops at once.

Launchers and schedulers pass the same signal on to processes that had it already, so what comes within a second,
and any further SIGTERM, is taken for the first one's echo. After SIGTERM the process ends by itself before the
scheduler kills it, wherever it is.
"""

import _thread
import os
import select
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Any, NoReturn

import torch

from vaegan.cli.console import Console
from vaegan.distributed import SIGNAL_ECHO_SECONDS, any_rank, get_rank
from vaegan.errors import Interrupted

HARD_EXIT_SECONDS = 5.0
"""Seconds after which a process that was to end, but waits where Python cannot interrupt it, ends as it is."""
WAKE_SECONDS = 0.1
"""Seconds after which the main thread is woken again, since a signal that finds it on its way into a call that waits is
not seen before that call ends."""

WAKE_SIGNALS = (signal.SIGALRM,) if hasattr(signal, "SIGALRM") else ()
"""What wakes the main thread; nothing on Windows."""


class Interrupts:
    """Remembers signals inside a ``with`` block, on the main thread; elsewhere it changes nothing.

    Args:
        grace: Seconds from SIGTERM to the end of the block, whatever it is doing then; if it cannot be ended, the
            process is, `HARD_EXIT_SECONDS` later.
        device: The one that this process computes on.
        console: Where a person at a terminal is told that the signal was heard.
    """

    def __init__(self, grace: float, device: torch.device, console: Console) -> None:
        self.grace, self.device, self.console = grace, device, console
        self.received = False
        self._before: dict[int, Any] = {}
        self._over: BaseException | None = None

    def __enter__(self) -> "Interrupts":
        """Start to listen."""
        if threading.current_thread() is threading.main_thread():
            self._heard, self._told = socket.socketpair()
            self._told.setblocking(False)
            # Tells of every signal when it comes; Python's handlers wait for the end of what torch is computing.
            self._told_before = signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
            for number in (signal.SIGINT, signal.SIGTERM, *WAKE_SIGNALS):
                self._before[number] = signal.signal(number, self._handle)
            self._listening = True
            self._listener = threading.Thread(target=self._listen, daemon=True)
            self._listener.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Give the signals back."""
        if not self._before:
            return
        self._listening = False
        signal.set_wakeup_fd(self._told_before)
        self._told.close()
        self._listener.join()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._heard.close()

    def anywhere(self, or_else: bool = False) -> bool:
        """Whether any process was asked to stop, or has another reason to; all ask together and get the same answer."""
        return any_rank(or_else or self.received, self.device)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number in (signal.SIGINT, signal.SIGTERM):
            self.received = True
        over = self._over
        if over is not None and self._listening:
            self._over = None  # only now: the listener may be setting it
            raise over

    def _listen(self) -> None:
        first: float | None = None
        deadline: float | None = None
        ended = False
        words = f"train.grace_seconds: the {self.grace:g} s after SIGTERM are over; go on with --resume"
        while True:
            waits = [] if deadline is None else [max(0.0, deadline - time.monotonic())]
            waits += [] if self._over is None else [WAKE_SECONDS]
            if not select.select([self._heard], [], [], min(waits, default=None))[0]:
                if deadline is None or time.monotonic() < deadline:
                    self._wake()
                    continue
                if ended:
                    _exit(words)
                self._end(Interrupted(words))
                deadline, ended = time.monotonic() + HARD_EXIT_SECONDS, True
                continue
            numbers, now = self._heard.recv(1024), time.monotonic()
            if not numbers:
                return
            if signal.SIGTERM in numbers and deadline is None:
                deadline = now + self.grace
            if first is None and {signal.SIGINT, signal.SIGTERM} & set(numbers):
                first = now
                if sys.stderr.isatty():
                    self.console.note("stopping after this step; Ctrl-C again stops at once")
            elif first is not None and signal.SIGINT in numbers and now - first > SIGNAL_ECHO_SECONDS:
                self._end(KeyboardInterrupt())

    def _end(self, over: BaseException) -> None:
        """Have the main thread raise this as soon as it runs Python."""
        self._over = over
        self._wake()

    def _wake(self) -> None:
        if WAKE_SIGNALS:
            signal.pthread_kill(threading.main_thread().ident or 0, *WAKE_SIGNALS)
        else:
            _thread.interrupt_main()


def _exit(words: str) -> NoReturn:
    if get_rank() == 0:
        os.write(2, f"vaegan: {words}\n".encode())
    os._exit(130)
