"""Signals during a training: the first lets the step end and a checkpoint be written, a second Ctrl-C stops at once.

Launchers and schedulers pass the same signal on to processes that had it already. Any signal within a second of the
first one, and any further SIGTERM, is therefore taken for an echo of the first. After SIGTERM the process ends by
itself before the scheduler kills it, wherever it is.
"""

import _thread
import os
import select
import signal
import socket
import threading
import time
from types import FrameType
from typing import Any, NoReturn

from vaegan.distributed import SIGNAL_ECHO_SECONDS, any_rank, get_rank
from vaegan.errors import Interrupted
from vaegan.progress import Reporter

HARD_EXIT_SECONDS = 5.0
"""Seconds after which a process that should end, but waits where Python cannot interrupt it, is ended as it is."""
WAKE_SECONDS = 0.1
"""Seconds between two attempts to wake the main thread.

If a signal comes just as the thread enters a call that waits, the thread does not see it before that call ends.
"""

WAKE_SIGNALS = (signal.SIGALRM,) if hasattr(signal, "SIGALRM") else ()
"""Signals that wake the main thread; none on Windows."""


class Interrupts:
    """Remember SIGINT and SIGTERM inside a ``with`` block on the main thread; do nothing on another thread.

    Args:
        grace: Seconds from SIGTERM to the end of the block, whatever it is doing then. If the block cannot be ended,
            the process is ended `HARD_EXIT_SECONDS` later.
        reporter: Takes a note that the signal was heard, if a person may be watching.

    Attributes:
        received: Whether a signal has come.
    """

    def __init__(self, grace: float, reporter: Reporter) -> None:
        self.grace, self.reporter = grace, reporter
        self.received = False
        self._previous_handlers: dict[int, Any] = {}
        self._pending: BaseException | None = None

    def __enter__(self) -> "Interrupts":
        """Start to listen."""
        if threading.current_thread() is threading.main_thread():
            self._reader, self._writer = socket.socketpair()
            self._writer.setblocking(False)
            # Gets every signal when it comes; Python's handlers wait for the end of what torch is computing.
            self._previous_wakeup_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            for number in (signal.SIGINT, signal.SIGTERM, *WAKE_SIGNALS):
                self._previous_handlers[number] = signal.signal(number, self._handle)
            self._listening = True
            self._listener = threading.Thread(target=self._listen, daemon=True)
            self._listener.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Restore the handlers that were set before."""
        if not self._previous_handlers:
            return
        self._listening = False
        signal.set_wakeup_fd(self._previous_wakeup_fd)
        self._writer.close()
        self._listener.join()
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        self._reader.close()

    def should_stop(self, failed: bool = False) -> bool:
        """Return whether any process has received a signal or failed; all call this together and get the same answer.

        Args:
            failed: Whether this process has to stop for another reason.
        """
        return any_rank(failed or self.received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number in (signal.SIGINT, signal.SIGTERM):
            self.received = True
        pending = self._pending
        if pending is not None and self._listening:
            self._pending = None  # only now: the listener may be setting it
            raise pending

    def _listen(self) -> None:
        first_time: float | None = None
        deadline: float | None = None
        ended = False
        message = f"train.grace_seconds: the {self.grace:g} s after SIGTERM are over; go on with --resume"
        while True:
            timeouts = [] if deadline is None else [max(0.0, deadline - time.monotonic())]
            timeouts += [] if self._pending is None else [WAKE_SECONDS]
            if not select.select([self._reader], [], [], min(timeouts, default=None))[0]:
                if deadline is None or time.monotonic() < deadline:
                    self._wake_main_thread()
                    continue
                if ended:
                    _exit(message)
                self._raise_in_main_thread(Interrupted(message))
                deadline, ended = time.monotonic() + HARD_EXIT_SECONDS, True
                continue
            numbers, now = self._reader.recv(1024), time.monotonic()
            if not numbers:
                return
            if signal.SIGTERM in numbers and deadline is None:
                deadline = now + self.grace
            if first_time is None and {signal.SIGINT, signal.SIGTERM} & set(numbers):
                first_time = now
                if self.reporter.interactive:
                    self.reporter.note("stopping after this step; a second interrupt stops at once")
            elif first_time is not None and signal.SIGINT in numbers and now - first_time > SIGNAL_ECHO_SECONDS:
                self._raise_in_main_thread(KeyboardInterrupt())

    def _raise_in_main_thread(self, error: BaseException) -> None:
        """Have the main thread raise an error as soon as it runs Python."""
        self._pending = error
        self._wake_main_thread()

    def _wake_main_thread(self) -> None:
        if WAKE_SIGNALS:
            signal.pthread_kill(threading.main_thread().ident or 0, *WAKE_SIGNALS)
        else:
            _thread.interrupt_main()


def _exit(message: str) -> NoReturn:
    if get_rank() == 0:
        os.write(2, f"vaegan: {message}\n".encode())
    os._exit(130)
